/**
 * The matmul template against float64 on the adapter: every kind of schedule, all layouts, sizes around tile edges.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { BASELINE, type Capabilities, LAVAPIPE } from "../../compiler/capabilities.ts";
import { LimitError } from "../../compiler/errors.ts";
import {
  chooseMatmulSchedule,
  matmulCandidates,
  type MatmulSchedule,
  scheduleName,
} from "../../compiler/wgsl/matmul.ts";
import type { MatmulShape } from "../../compiler/wgsl/tile.ts";
import {
  dispatcher,
  GUARD,
  LAYOUTS,
  matmulShape,
  openTestDevice,
  plainMatmul,
  POISON,
  SOFTWARE,
} from "./matmul_support.ts";

const SEED = 20_240_607;
const device = await openTestDevice();
let validationError: string | undefined;
device?.addEventListener("uncapturederror", (event) => {
  validationError = (event as GPUUncapturedErrorEvent).error.message;
});

/** Numbers in -1..1 from a linear congruential generator (Numerical Recipes' constants), NaN in the guards. */
function operand(elements: number, seed: number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(elements + 2 * GUARD).fill(NaN);
  let state = (SEED + seed) >>> 0;
  for (let i = 0; i < elements; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[GUARD + i] = state / 2 ** 31 - 1;
  }
  return data;
}

/** The product in float64, and the sum of absolute terms that its rounding error is measured by. */
function reference(
  shape: MatmulShape,
  a: Float32Array,
  b: Float32Array,
): { value: Float64Array; scale: Float64Array } {
  const { batch, rows, cols, depth } = shape;
  const value = new Float64Array(batch * rows * cols);
  const scale = new Float64Array(batch * rows * cols);
  const [aRow, aDepth] = shape.aContiguous === "depth" ? [depth, 1] : [1, rows];
  const [bCol, bDepth] = shape.bContiguous === "depth" ? [depth, 1] : [1, cols];
  for (let z = 0, i = 0; z < batch; z++) {
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++, i++) {
        for (let k = 0; k < depth; k++) {
          const term = a[GUARD + z * rows * depth + row * aRow + k * aDepth] *
            b[GUARD + z * cols * depth + col * bCol + k * bDepth];
          value[i] += term;
          scale[i] += Math.abs(term);
        }
      }
    }
  }
  return { value, scale };
}

/**
 * Runs every schedule of a shape in one submission and compares each result and its guards; with `faults`, also that
 * no position that reached a hook started outside the shape.
 */
async function checkShape(
  shape: MatmulShape,
  schedules: readonly MatmulSchedule[],
  target: Capabilities = SOFTWARE,
  faults = false,
): Promise<void> {
  if (!device) return;
  const { batch, rows, cols, depth } = shape;
  const a = operand(batch * rows * depth, 1);
  const b = operand(batch * cols * depth, 2);
  const poison = new Float32Array(batch * rows * cols + 2 * GUARD).fill(POISON);
  const upload = (data: Float32Array<ArrayBuffer>, usage: number) => {
    const buffer = device.createBuffer({ size: data.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  const inputs = [upload(a, GPUBufferUsage.STORAGE), upload(b, GPUBufferUsage.STORAGE)];
  const fault = upload(new Float32Array(1), GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const encoder = device.createCommandEncoder();
  const resultBytes = poison.byteLength * schedules.length;
  const staging = device.createBuffer({
    size: resultBytes + 4,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const outputs = schedules.map((schedule, i) => {
    const output = upload(poison, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
    const { wgsl, kernel } = plainMatmul(shape, schedule, target, faults);
    const pass = encoder.beginComputePass();
    dispatcher(device, wgsl, kernel.workgroups, [...inputs, output, ...(faults ? [fault] : [])])(pass);
    pass.end();
    encoder.copyBufferToBuffer(output, 0, staging, i * poison.byteLength, poison.byteLength);
    return output;
  });
  encoder.copyBufferToBuffer(fault, 0, staging, resultBytes, 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const mapped = staging.getMappedRange();
  const results = new Float32Array(mapped);
  const expected = reference(shape, a, b);
  const product = `${JSON.stringify(shape)}, seed ${SEED}`;
  assertEquals(validationError, undefined, product);
  assertEquals(
    new Uint32Array(mapped).at(-1),
    0,
    `${product}: a hook was given a position outside the shape`,
  );
  schedules.forEach((schedule, i) => {
    const result = results.subarray(i * poison.length, (i + 1) * poison.length);
    const what = `${product} by ${scheduleName(schedule)}`;
    for (let j = 0; j < poison.length; j++) {
      const inside = j - GUARD;
      if (inside < 0 || inside >= expected.value.length) {
        assert(result[j] === POISON, `${what}: wrote outside the result at ${inside}`);
      } else {
        const error = Math.abs(result[j] - expected.value[inside]);
        const allowed = 1e-6 + 2 ** -23 * Math.sqrt(depth + 8) * expected.scale[inside];
        assert(error <= allowed, `${what}: element ${inside} is ${result[j]}, not ${expected.value[inside]}`);
      }
    }
  });
  [...inputs, fault, ...outputs, staging].forEach((buffer) => buffer.destroy());
}

/** lavapipe without subgroup operations, and a GPU with WebGPU's guaranteed limits. */
const NO_SUBGROUPS: Capabilities = { ...SOFTWARE, subgroupSize: 0 };
const GPU: Capabilities = { ...BASELINE, subgroupSize: 32, maxInvocations: 1024 };

/** Small tiles of every kind, so that small shapes cross many tile edges and compile fast. */
const SMALL: Record<MatmulSchedule["kind"], readonly MatmulSchedule[]> = {
  subgroup: [
    {
      kind: "subgroup",
      lanes: SOFTWARE.subgroupSize,
      lanesAlong: "cols",
      perLane: 4,
      shared: 4,
      subgroups: 1,
      depthStep: 4,
      band: 2,
    },
    {
      kind: "subgroup",
      lanes: SOFTWARE.subgroupSize,
      lanesAlong: "rows",
      perLane: 4,
      shared: 8,
      subgroups: 2,
      depthStep: 8,
      band: 1,
    },
    {
      kind: "subgroup",
      lanes: SOFTWARE.subgroupSize,
      lanesAlong: "cols",
      perLane: 8,
      shared: 12,
      subgroups: 1,
      depthStep: 8,
      band: 99,
    },
  ],
  register: [
    { kind: "register", rows: 4, cols: 4, groupRows: 2, groupCols: 4, depthStep: 4, band: 3 },
    { kind: "register", rows: 8, cols: 8, groupRows: 1, groupCols: 8, depthStep: 8, band: 1 },
  ],
  workgroup: [
    { kind: "workgroup", rows: 4, cols: 4, groupRows: 4, groupCols: 4, depthStep: 8, band: 2 },
    { kind: "workgroup", rows: 8, cols: 4, groupRows: 2, groupCols: 8, depthStep: 4, band: 1 },
  ],
};

/** Rows, columns, depth, batch: single elements, tile edges less, exact and more, odd remainders. */
const SIZES: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 1, 1],
  [5, 1, 2, 3],
  [3, 31, 7, 2],
  [5, 33, 9, 1],
  [16, 64, 16, 2],
  [37, 41, 23, 2],
];

for (const [kind, schedules] of Object.entries(SMALL)) {
  for (const layout of LAYOUTS) {
    Deno.test({
      name: `${kind} schedules of ${layout} products agree with float64 at every edge`,
      ignore: !device,
      fn: async () => {
        for (const size of SIZES) await checkShape(matmulShape(layout, ...size), schedules);
      },
    });
  }
}

/** Shapes of training, decoding and attention in small, and shapes that are flat in one direction. */
const CHOSEN: readonly (readonly [number, number, number, number])[] = [
  [1, 130, 70, 1],
  [2, 64, 129, 1],
  [70, 3, 131, 2],
  [3, 70, 1, 1],
  [97, 161, 30, 1],
];

const CHOOSERS = [
  { name: "lavapipe", target: SOFTWARE, layouts: LAYOUTS },
  { name: "a CPU without subgroups", target: NO_SUBGROUPS, layouts: ["NN", "TT"] as const },
  { name: "a GPU", target: GPU, layouts: ["NN", "TT"] as const },
];

for (const { name, target, layouts } of CHOOSERS) {
  Deno.test({
    name: `the schedule chosen for ${name} computes flat, tiny and odd products`,
    ignore: !device,
    fn: async () => {
      for (const layout of layouts) {
        for (const size of CHOSEN) {
          const shape = matmulShape(layout, ...size);
          await checkShape(shape, [chooseMatmulSchedule(shape, target)], target);
        }
      }
    },
  });
}

/** Rows of generation's steps, and pieces of its prompts. */
const BATCHES = [1, 2, 8, 32, 128];
/** GPT-2's products by layout, columns and depth, in eighths of its width, and one with odd sizes. */
const BATCHED: readonly (readonly [(typeof LAYOUTS)[number], number, number])[] = [
  ["NN", 96, 3072],
  ["NT", 384, 768],
  ["NT", 130, 71],
];

/** The first row of the result under a schedule. */
async function firstRow(
  shape: MatmulShape,
  schedule: MatmulSchedule,
  target: Capabilities,
): Promise<Uint32Array> {
  const { rows, cols, depth } = shape;
  const upload = (data: Float32Array<ArrayBuffer>, usage: number) => {
    const buffer = device!.createBuffer({ size: data.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    device!.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffers = [
    upload(operand(rows * depth, 1), STORAGE),
    upload(operand(cols * depth, 2), STORAGE),
    upload(new Float32Array(rows * cols + 2 * GUARD), STORAGE | COPY_SRC),
  ];
  const staging = device!.createBuffer({ size: 4 * cols, usage: MAP_READ | COPY_DST });
  const { wgsl, kernel } = plainMatmul(shape, schedule, target);
  const encoder = device!.createCommandEncoder();
  const pass = encoder.beginComputePass();
  dispatcher(device!, wgsl, kernel.workgroups, buffers)(pass);
  pass.end();
  encoder.copyBufferToBuffer(buffers[2], 4 * GUARD, staging, 0, 4 * cols);
  device!.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const row = new Uint32Array(staging.getMappedRange().slice(0));
  [...buffers, staging].forEach((buffer) => buffer.destroy());
  return row;
}

for (const { name, target } of CHOOSERS) {
  Deno.test({
    name: `on ${name} a row has the same bits however many rows there are and whatever a tuner takes`,
    ignore: !device,
    fn: async () => {
      for (const [layout, cols, depth] of BATCHED) {
        const shapeOf = (rows: number) => matmulShape(layout, rows, cols, depth);
        const expected = await firstRow(shapeOf(1), chooseMatmulSchedule(shapeOf(1), target), target);
        const check = async (rows: number, schedule: MatmulSchedule) => {
          const what = `${layout} ${rows} x ${cols} x ${depth} by ${scheduleName(schedule)}, seed ${SEED}`;
          assertEquals(await firstRow(shapeOf(rows), schedule, target), expected, what);
        };
        for (const rows of BATCHES.slice(1)) {
          await check(rows, chooseMatmulSchedule(shapeOf(rows), target));
        }
        const candidates = matmulCandidates(shapeOf(8), target);
        for (const i of [candidates.length >> 1, candidates.length - 1]) await check(8, candidates[i]);
      }
      assertEquals(validationError, undefined);
    },
  });
}

Deno.test({
  name: "positions that reach hooks start inside the shape, so that hooks need no bounds of their own",
  ignore: !device,
  fn: async () => {
    const schedules = [SMALL.subgroup[1], SMALL.subgroup[2], SMALL.register[0], SMALL.workgroup[0]];
    for (const layout of LAYOUTS) {
      await checkShape(matmulShape(layout, 21, 35, 11, 2), schedules, SOFTWARE, true);
    }
  },
});

Deno.test({
  name: "more tiles or batches than one dimension allows fold into the others and are all computed",
  ignore: !device,
  fn: async () => {
    const narrow = { ...SOFTWARE, maxWorkgroups: 3 };
    const schedules = [SMALL.subgroup[0], SMALL.register[0], SMALL.workgroup[0]];
    await checkShape(matmulShape("NT", 33, 70, 8, 1), schedules.slice(0, 2), narrow);
    await checkShape(matmulShape("NN", 5, 34, 8, 5), schedules, narrow);
  },
});

Deno.test("a product too large for the dispatch grid keeps within maxWorkgroups in each dimension", () => {
  const shape = matmulShape("NT", 2 ** 19, 2 ** 14, 8, 9);
  const { kernel } = plainMatmul(shape, SMALL.subgroup[0]);
  const [x, y, z] = kernel.workgroups;
  assert(Math.max(x, y, z) <= LAVAPIPE.maxWorkgroups, `${kernel.workgroups}`);
  assert(x * y * z >= 9 * 2 ** 19 / 4 * 2 ** 14 / (4 * SOFTWARE.subgroupSize), `${kernel.workgroups}`);
});

Deno.test("a step asks for each element of a tile once, however many lanes use it", () => {
  const shape = matmulShape("NN", 64, 64, 64);
  const { loads } = plainMatmul(shape, {
    kind: "subgroup",
    lanes: 8,
    lanesAlong: "cols",
    perLane: 8,
    shared: 32,
    subgroups: 1,
    depthStep: 4,
    band: 1,
  }, LAVAPIPE);
  assertEquals(loads, { a: 4, b: 8 });
});

Deno.test("a depth beyond the loop limit is unrolled by the chosen schedule and refused for a given one", () => {
  const deep = matmulShape("NT", 8, 8, 600_000);
  const given: MatmulSchedule = { ...SMALL.register[0], depthStep: 4 };
  assertThrows(() => plainMatmul(deep, given), LimitError, "maxLoopIterations");
  for (const target of [SOFTWARE, NO_SUBGROUPS]) {
    const { kernel } = plainMatmul(deep, chooseMatmulSchedule(deep, target), target);
    assert(kernel.loopIterations <= target.maxLoopIterations, `${kernel.loopIterations}`);
  }
});

Deno.test("tiles beyond the target's workgroup memory or invocations are refused by name", () => {
  const shape = matmulShape("NN", 256, 256, 64);
  const large: MatmulSchedule = {
    kind: "workgroup",
    rows: 8,
    cols: 8,
    groupRows: 16,
    groupCols: 16,
    depthStep: 16,
    band: 1,
  };
  assertThrows(() => plainMatmul(shape, large, BASELINE), LimitError, "maxWorkgroupBytes");
  const wide: MatmulSchedule = {
    ...SMALL.register[0],
    kind: "register",
    groupRows: 32,
    groupCols: 32,
  } as MatmulSchedule;
  assertThrows(() => plainMatmul(shape, wide, BASELINE), LimitError, "maxInvocations");
});

Deno.test("candidates start with the chosen schedule, differ, and can all be emitted for their target", () => {
  for (const target of [SOFTWARE, NO_SUBGROUPS, GPU, BASELINE]) {
    for (const layout of LAYOUTS) {
      for (const [rows, cols, depth] of [[1, 1, 1], [1, 3072, 768], [512, 768, 768], [2000, 3, 40]]) {
        const shape = matmulShape(layout, rows, cols, depth);
        const candidates = matmulCandidates(shape, target);
        assertEquals(candidates[0], chooseMatmulSchedule(shape, target));
        assertEquals(
          new Set(candidates.map(scheduleName)).size,
          candidates.length,
          `${JSON.stringify(shape)}`,
        );
        for (const candidate of candidates) plainMatmul(shape, candidate, target);
      }
    }
  }
});
