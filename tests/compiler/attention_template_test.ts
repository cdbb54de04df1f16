/**
 * The attention templates against float64 on the adapter: every family of schedules, the three kernels, sizes around
 * tile edges, masks, and what the kernels say about their own loops.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { BASELINE, type Capabilities } from "../../compiler/capabilities.ts";
import { LimitError } from "../../compiler/errors.ts";
import {
  attentionCandidates,
  type AttentionSchedule,
  attentionScheduleName,
  chooseAttentionSchedule,
} from "../../compiler/wgsl/attention.ts";
import type { AttentionKind, AttentionShape } from "../../compiler/wgsl/attention_tile.ts";
import {
  type AttentionTensor,
  elementsOf,
  GUARD,
  plainAttention,
  referenceAttention,
  WRITES,
} from "./attention_support.ts";
import { dispatcher, openTestDevice, POISON, SOFTWARE } from "./matmul_support.ts";

const SEED = 20_241_103;
const KINDS = ["forward", "gradQ", "gradKV"] as const;
const device = await openTestDevice();
let validationError: string | undefined;
device?.addEventListener("uncapturederror", (event) => {
  validationError ??= (event as GPUUncapturedErrorEvent).error.message;
});

/** lavapipe without subgroup operations, and GPUs with WebGPU's guaranteed limits and with NVIDIA's. */
const NO_SUBGROUPS: Capabilities = { ...SOFTWARE, subgroupSize: 0 };
const GPU: Capabilities = {
  ...BASELINE,
  subgroupSize: 32,
  maxInvocations: 1024,
  maxWorkgroupBytes: 48 * 1024,
};
/** A GPU as far as schedules go, within the workgroup memory of the adapter that runs the tests. */
const SMALL_GPU: Capabilities = { ...SOFTWARE, software: false };

const lanes = SOFTWARE.subgroupSize;

/** A shape of `queries` rows of `width` channels; as many keys, and causal, unless `keys` is given. */
function attention(queries: number, width: number, keys?: number, batch = 2): AttentionShape {
  return {
    batch,
    queries,
    keys: keys ?? queries,
    width,
    causal: keys === undefined,
    scale: 1 / Math.sqrt(width),
  };
}

/** Numbers in -1..1 from a linear congruential generator (Numerical Recipes' constants). */
function numbers(elements: number, seed: number): Float32Array<ArrayBuffer> {
  let state = (SEED + seed) >>> 0;
  return new Float32Array(elements).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function upload(data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device!.createBuffer({ size: data.byteLength, usage });
  device!.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

async function download(buffers: readonly GPUBuffer[]): Promise<ArrayBuffer[]> {
  const encoder = device!.createCommandEncoder();
  const size = buffers.reduce((sum, buffer) => sum + buffer.size, 0);
  const staging = device!.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  let at = 0;
  const places = buffers.map((buffer) => {
    encoder.copyBufferToBuffer(buffer, 0, staging, at, buffer.size);
    at += buffer.size;
    return [at - buffer.size, at] as const;
  });
  device!.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const mapped = staging.getMappedRange();
  const copies = places.map(([start, end]) => mapped.slice(start, end));
  staging.destroy();
  return copies;
}

/** One kernel to run: what it is, by which schedule, and which results it is asked for. */
interface Case {
  readonly kind: AttentionKind;
  readonly schedule: AttentionSchedule;
  readonly results?: readonly AttentionTensor[];
}

/** All three kernels under one schedule. */
function threeOf(schedule: AttentionSchedule): Case[] {
  return KINDS.map((kind) => ({ kind, schedule }));
}

/** All three kernels under the schedules that a target would choose. */
function chosen(shape: AttentionShape, target: Capabilities): Case[] {
  return KINDS.map((kind) => ({ kind, schedule: chooseAttentionSchedule(kind, shape, target) }));
}

/**
 * Runs kernels on one shape and compares each result and its guards; guards of operands hold NaN. With `faults`, also
 * that no position that reached a hook started outside its tensor.
 *
 * A result may differ by sqrt(width + 16) roundings of `scale`, the sum of its absolute terms, each with the rounding
 * of its own score: as for a product over `width`, with some for the sums over columns and the exponentials.
 */
async function check(shape: AttentionShape, cases: readonly Case[], faults = false): Promise<void> {
  if (!device) return;
  const inputs = {
    q: numbers(elementsOf("q", shape), 1),
    k: numbers(elementsOf("k", shape), 2),
    v: numbers(elementsOf("v", shape), 3),
    g: numbers(elementsOf("g", shape), 4),
  };
  const expected = referenceAttention(shape, inputs);
  const guarded = (name: AttentionTensor, data: ArrayLike<number>) => {
    const all = new Float32Array(elementsOf(name, shape) + 2 * GUARD).fill(NaN);
    all.set(data, GUARD);
    return upload(all);
  };
  const operands: Partial<Record<AttentionTensor, GPUBuffer>> = {
    q: guarded("q", inputs.q),
    k: guarded("k", inputs.k),
    v: guarded("v", inputs.v),
    g: guarded("g", inputs.g),
    lse: guarded("lse", expected.value.lse),
    delta: guarded("delta", expected.value.delta),
  };
  validationError = undefined;
  const encoder = device.createCommandEncoder();
  const runs = cases.map(({ kind, schedule, results = WRITES[kind] }) => {
    const plain = plainAttention(kind, shape, schedule, { results, faults });
    const outputs = results.map((name) =>
      upload(new Float32Array(elementsOf(name, shape) + 2 * GUARD).fill(POISON))
    );
    const bound = [...plain.reads.map((name) => operands[name]!), ...outputs];
    const pass = encoder.beginComputePass();
    dispatcher(device, plain.wgsl, plain.kernel.workgroups, bound)(pass);
    pass.end();
    return { kind, schedule, results, outputs };
  });
  device.queue.submit([encoder.finish()]);
  const copies = await download(runs.flatMap((run) => run.outputs));
  const about = `${JSON.stringify(shape)}, seed ${SEED}`;
  assertEquals(validationError, undefined, about);
  let next = 0;
  for (const { kind, schedule, results } of runs) {
    for (const name of results) {
      const result = new Float32Array(copies[next++]);
      const what = `${kind} of ${about} by ${attentionScheduleName(schedule)}: ${name}`;
      const [value, scale] = [expected.value[name], expected.scale[name]];
      result.forEach((got, j) => {
        const i = j - GUARD;
        if (i < 0 || i >= value.length) {
          assert(
            got === POISON,
            `${what}: wrote outside the result at ${i}${faults ? ", or a hook was led outside" : ""}`,
          );
        } else {
          const allowed = 1e-6 + 2 ** -23 * Math.sqrt(shape.width + 16) * scale[i];
          assert(Math.abs(got - value[i]) <= allowed, `${what}: element ${i} is ${got}, not ${value[i]}`);
        }
      });
    }
  }
  for (const buffer of [...Object.values(operands), ...runs.flatMap((run) => run.outputs)]) {
    buffer.destroy();
  }
}

/** Small tiles of each family, so that small shapes have many of them. */
const SMALL: Record<AttentionSchedule["kind"], AttentionSchedule> = {
  subgroup: { kind: "subgroup", lanes, rows: 8, perLane: 1, channelStep: 8, columnStep: 4 },
  register: { kind: "register", rows: 2, invocations: 8 },
  workgroup: { kind: "workgroup", rows: 2, groupRows: 4, groupCols: 4 },
};
const TINY: AttentionSchedule = { kind: "workgroup", rows: 1, groupRows: 4, groupCols: 2 };
/** Tiles that do not divide each other. */
const UNEVEN: Record<AttentionSchedule["kind"], AttentionSchedule> = {
  subgroup: { kind: "subgroup", lanes, rows: 12, perLane: 2, channelStep: 4, columnStep: 8 },
  register: { kind: "register", rows: 3, invocations: 4 },
  workgroup: { kind: "workgroup", rows: 3, groupRows: 4, groupCols: 2 },
};

for (const family of ["subgroup", "register", "workgroup"] as const) {
  if (family === "subgroup" && lanes === 0) continue;
  Deno.test(`${family}: many causal tiles give attention and its gradients`, async () => {
    // More channels take a CPU driver seconds to compile for GPUs.
    await check(attention(33, family === "workgroup" ? 16 : 32), threeOf(SMALL[family]));
  });
  Deno.test(`${family}: tiles that do not divide each other keep the diagonal`, async () => {
    await check(attention(45, 12), threeOf(UNEVEN[family]));
  });
  Deno.test(`${family}: channels past the width count nothing and no hook is led outside`, async () => {
    // Causal with more queries than keys: the last ones see all.
    const shape = { ...attention(40, 6, 21), causal: true };
    await check(shape, threeOf(family === "workgroup" ? TINY : SMALL[family]), true);
    await check(attention(5, 80, 33, 1), [{ kind: "forward", schedule: SMALL[family] }]);
  });
  Deno.test(`${family}: one result alone is the same as with the other`, async () => {
    await check(attention(16, 4), [
      { kind: "forward", schedule: SMALL[family], results: ["lse"] },
      { kind: "forward", schedule: SMALL[family], results: ["o"] },
      { kind: "gradKV", schedule: SMALL[family], results: ["dk"] },
      { kind: "gradKV", schedule: SMALL[family], results: ["dv"] },
    ]);
  });
  Deno.test(`${family}: a single row and column work`, async () => {
    await check(attention(1, 4, undefined, 3), chosen(attention(1, 4), targetOf(family)));
  });
  Deno.test(`${family}: the schedules chosen for a head of 64 channels are right`, async () => {
    const causal = attention(130, 64, undefined, 1);
    // A CPU driver takes many seconds to compile a GPU's largest tiles: one kernel stands for all.
    await check(causal, chosen(causal, targetOf(family)).slice(0, family === "workgroup" ? 1 : 3));
    await check(attention(16, 64, 128, 1), threeOf(SMALL[family]).slice(1));
  });
  Deno.test(`${family}: kernels say how often they loop, and skip tiles that see nothing`, async () => {
    if (!device) return;
    const [causal, full] = [attention(192, 8), attention(192, 8, 192)];
    for (const kind of KINDS) {
      const [half, all] = [await loops(kind, causal, SMALL[family]), await loops(kind, full, SMALL[family])];
      for (const { most, reported } of [half, all]) {
        assert(most <= reported, `${kind} says ${reported} iterations but makes ${most}`);
        assert(reported <= 1.5 * most, `${kind} says ${reported} iterations but makes only ${most}`);
      }
      assert(half.sum < 0.65 * all.sum, `${kind}: ${half.sum} iterations causal, ${all.sum} otherwise`);
    }
  });
}

function targetOf(family: AttentionSchedule["kind"]): Capabilities {
  return { subgroup: SOFTWARE, register: NO_SUBGROUPS, workgroup: SMALL_GPU }[family];
}

/** Runs a kernel whose loops count their iterations: the most of one invocation, the sum, and what it says itself. */
async function loops(
  kind: AttentionKind,
  shape: AttentionShape,
  schedule: AttentionSchedule,
): Promise<{ most: number; sum: number; reported: number }> {
  validationError = undefined;
  const plain = plainAttention(kind, shape, schedule, { results: WRITES[kind].slice(0, 1) });
  const binding = plain.reads.length + plain.writes.length;
  const counted = plain.wgsl
    .replace(/^( *for \(.*\) \{)$/gm, "$1 iterations++;")
    .replace(/^(?=@compute)/m, "var<private> iterations = 0u;\n")
    .replace(
      /\}\n$/,
      "  atomicMax(&counts[0], iterations); atomicAdd(&counts[1], iterations);\n}\n",
    );
  const wgsl =
    `@group(0) @binding(${binding}) var<storage, read_write> counts: array<atomic<u32>>;\n${counted}`;
  const buffers = [...plain.reads, ...plain.writes].map((name) =>
    upload(new Float32Array(elementsOf(name, shape) + 2 * GUARD))
  );
  const counts = upload(new Uint32Array(2));
  const encoder = device!.createCommandEncoder();
  const pass = encoder.beginComputePass();
  dispatcher(device!, wgsl, plain.kernel.workgroups, [...buffers, counts])(pass);
  pass.end();
  device!.queue.submit([encoder.finish()]);
  const [most, sum] = new Uint32Array((await download([counts]))[0]);
  for (const buffer of [...buffers, counts]) buffer.destroy();
  assertEquals(validationError, undefined);
  return { most, sum, reported: plain.kernel.loopIterations };
}

Deno.test("candidates start with the chosen schedule, differ, and can all be emitted for their target", () => {
  for (const target of [SOFTWARE, NO_SUBGROUPS, GPU, BASELINE]) {
    for (const kind of KINDS) {
      for (const width of [4, 6, 64, 80, 256]) {
        for (const shape of [attention(1, width), attention(130, width), attention(16, width, 300)]) {
          const candidates = attentionCandidates(kind, shape, target);
          assertEquals(candidates[0], chooseAttentionSchedule(kind, shape, target));
          assertEquals(new Set(candidates.map(attentionScheduleName)).size, candidates.length);
          for (const schedule of candidates) plainAttention(kind, shape, schedule, { target });
        }
      }
    }
  }
});

Deno.test("tiles and loops beyond the target's limits are refused by name", () => {
  const shape = attention(4096, 128);
  const large: AttentionSchedule = { kind: "workgroup", rows: 8, groupRows: 8, groupCols: 8 };
  assertThrows(
    () => plainAttention("gradKV", shape, large, { target: GPU }),
    LimitError,
    "maxWorkgroupBytes",
  );
  const target = { ...SOFTWARE, maxLoopIterations: 1000 };
  for (const schedule of [SMALL.subgroup, SMALL.register]) {
    assertThrows(
      () => plainAttention("forward", shape, schedule, { target }),
      LimitError,
      "maxLoopIterations",
    );
  }
});
