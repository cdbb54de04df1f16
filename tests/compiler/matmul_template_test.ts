/**
 * The matmul template against float64 on the adapter: every kind of schedule, all layouts, sizes around tile edges.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Capabilities, LAVAPIPE } from "../../compiler/capabilities.ts";
import { type MatmulSchedule, scheduleName } from "../../compiler/wgsl/matmul.ts";
import type { MatmulShape } from "../../compiler/wgsl/tile.ts";
import {
  dispatcher,
  GUARD,
  LAYOUTS,
  matmulShape,
  openTestDevice,
  plainMatmul,
  POISON,
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

/** Runs every schedule of a shape in one submission and compares each result and its guards. */
async function checkShape(
  shape: MatmulShape,
  schedules: readonly MatmulSchedule[],
  target: Capabilities = LAVAPIPE,
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
  const encoder = device.createCommandEncoder();
  const staging = device.createBuffer({
    size: poison.byteLength * schedules.length,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const outputs = schedules.map((schedule, i) => {
    const output = upload(poison, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
    const { wgsl, kernel } = plainMatmul(shape, schedule, target);
    const pass = encoder.beginComputePass();
    dispatcher(device, wgsl, kernel.workgroups, [...inputs, output])(pass);
    pass.end();
    encoder.copyBufferToBuffer(output, 0, staging, i * poison.byteLength, poison.byteLength);
    return output;
  });
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const results = new Float32Array(staging.getMappedRange());
  const expected = reference(shape, a, b);
  schedules.forEach((schedule, i) => {
    const result = results.subarray(i * poison.length, (i + 1) * poison.length);
    const what = `${JSON.stringify(shape)} by ${scheduleName(schedule)}, seed ${SEED}`;
    assertEquals(validationError, undefined, what);
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
  [...inputs, ...outputs, staging].forEach((buffer) => buffer.destroy());
}

/** Small tiles of every kind, so that small shapes cross many tile edges and compile fast. */
const SMALL: Record<MatmulSchedule["kind"], readonly MatmulSchedule[]> = {
  subgroup: [
    {
      kind: "subgroup",
      lanes: 8,
      lanesAlong: "cols",
      perLane: 4,
      shared: 4,
      subgroups: 1,
      depthStep: 4,
      band: 2,
    },
    {
      kind: "subgroup",
      lanes: 8,
      lanesAlong: "rows",
      perLane: 4,
      shared: 8,
      subgroups: 2,
      depthStep: 8,
      band: 1,
    },
    {
      kind: "subgroup",
      lanes: 8,
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
  [1, 3, 5, 1],
  [5, 1, 2, 3],
  [4, 32, 4, 1],
  [3, 31, 7, 2],
  [5, 33, 9, 1],
  [16, 64, 16, 2],
  [17, 36, 12, 1],
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
