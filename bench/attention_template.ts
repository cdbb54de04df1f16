/**
 * GFLOP/s of the attention templates by kernel and shape, under the schedule that is chosen for this machine's adapter.
 *
 *     deno run -A bench/attention_template.ts [--rounds 5] [--flops 1e9] [--kinds forward,gradQ,gradKV]
 *       [--only 24x128x64,24x128x96x64,...] [--full] [--all-candidates]
 *
 * Shapes are problems x queries x channels, causal unless `--full`, or problems x queries x keys x channels. Rates count
 * the visible half of a causal product alone. Each round runs every kernel once, so that a busy machine disturbs all of
 * them alike. `best` and `median` are over rounds; `cpu` is the best by processor time of the whole process, shared
 * evenly among the driver's threads, which a busy machine disturbs less; `first` is the first dispatch, in which
 * software adapters compile.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import { parseArgs } from "@std/cli/parse-args";
import {
  attentionCandidates,
  type AttentionSchedule,
  attentionScheduleName,
  chooseAttentionSchedule,
} from "../compiler/wgsl/attention.ts";
import type { AttentionKind, AttentionShape } from "../compiler/wgsl/attention_tile.ts";
import {
  type AttentionTensor,
  elementsOf,
  GUARD,
  plainAttention,
} from "../tests/compiler/attention_support.ts";
import { dispatcher, openTestDevice, SOFTWARE } from "../tests/compiler/matmul_support.ts";

/** Heads of small models, of GPT-2 at short and full context. */
const SHAPES = ["32x128x32", "24x128x64", "12x64x64", "48x1024x64"] as const;
const KINDS: readonly AttentionKind[] = ["forward", "gradQ", "gradKV"];
/** Floating-point operations for each score and channel: two for each product. */
const FLOPS: Record<AttentionKind, number> = { forward: 4, gradQ: 6, gradKV: 8 };

interface Entry {
  readonly name: string;
  readonly kind: AttentionKind;
  readonly schedule: AttentionSchedule;
  readonly flops: number;
  readonly dispatches: number;
  readonly record: (pass: GPUComputePassEncoder) => void;
  readonly runs: Timing[];
  first: number;
}

/** Milliseconds of a dispatch: on the clock, and of processors. */
interface Timing {
  readonly wall: number;
  readonly cpu: number;
}

const flags = parseArgs(Deno.args, {
  string: ["only", "rounds", "flops", "kinds"],
  boolean: ["all-candidates", "full"],
  default: { rounds: "5", flops: "1e9" },
});
const device = await openTestDevice();
if (!device) {
  console.error("attention_template: no WebGPU adapter; install mesa-vulkan-drivers or a GPU driver");
  Deno.exit(2);
}
device.addEventListener("uncapturederror", (event) => {
  console.error(`attention_template: ${(event as GPUUncapturedErrorEvent).error.message}`);
  Deno.exit(1);
});

function parseShape(text: string): AttentionShape {
  const sizes = text.split("x").map(Number);
  if ((sizes.length !== 3 && sizes.length !== 4) || !sizes.every((size) => size > 0)) {
    console.error(`attention_template: --only takes shapes such as 24x128x64, not ${text}`);
    Deno.exit(2);
  }
  const [batch, queries, keys] = sizes;
  const width = sizes.at(-1)!;
  const square = sizes.length === 3;
  return {
    batch,
    queries,
    keys: square ? queries : keys,
    width,
    causal: square && !flags.full,
    scale: width ** -0.5,
  };
}

function parseKinds(text: string): AttentionKind[] {
  return text.split(",").map((name) => {
    const kind = KINDS.find((known) => known === name);
    if (kind) return kind;
    console.error(`attention_template: --kinds takes ${KINDS.join(", ")}, not ${name}`);
    Deno.exit(2);
  });
}

const buffers = new Map<string, GPUBuffer>();

/** One buffer of pseudo-random numbers for each tensor and size, shared by all kernels. */
function bufferOf(name: AttentionTensor, shape: AttentionShape): GPUBuffer {
  const elements = elementsOf(name, shape) + 2 * GUARD;
  const key = `${name} ${elements}`;
  let buffer = buffers.get(key);
  if (!buffer) {
    buffer = device!.createBuffer({
      size: 4 * elements,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    // Logarithmic sums of a few units keep the probabilities of the gradients near those of real scores.
    const base = name === "lse" ? Math.log(shape.keys) : 0;
    const data = new Float32Array(elements).map((_, i) => base + (i * 7919 % 1000) / 1000 - 0.5);
    device!.queue.writeBuffer(buffer, 0, data);
    buffers.set(key, buffer);
  }
  return buffer;
}

function prepare(
  name: string,
  kind: AttentionKind,
  shape: AttentionShape,
  schedule: AttentionSchedule,
): Entry {
  const plain = plainAttention(kind, shape, schedule);
  const bound = [...plain.reads, ...plain.writes].map((tensor) => bufferOf(tensor, shape));
  const scores = shape.batch * shape.queries * shape.keys * (shape.causal ? 0.5 : 1);
  const flops = FLOPS[kind] * scores * shape.width;
  return {
    name,
    kind,
    schedule,
    flops,
    dispatches: Math.max(1, Math.min(50, Math.round(Number(flags.flops) / flops))),
    record: dispatcher(device!, plain.wgsl, plain.kernel.workgroups, bound),
    runs: [],
    first: 0,
  };
}

/** One submission of `dispatches` dispatches. */
async function run(entry: Entry, dispatches: number): Promise<Timing> {
  const encoder = device!.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < dispatches; i++) entry.record(pass);
  pass.end();
  const commands = encoder.finish();
  const before = cpuUsage();
  const start = performance.now();
  device!.queue.submit([commands]);
  const idle = device!.queue.onSubmittedWorkDone();
  const wall = performance.now() - start;
  const used = cpuUsage(before);
  await idle;
  const threads = navigator.hardwareConcurrency;
  return { wall: wall / dispatches, cpu: (used.user + used.system) / 1000 / threads / dispatches };
}

const entries: Entry[] = [];
for (const name of flags.only?.split(",") ?? SHAPES) {
  const shape = parseShape(name);
  for (const kind of flags.kinds === undefined ? KINDS : parseKinds(flags.kinds)) {
    const schedules = flags["all-candidates"]
      ? attentionCandidates(kind, shape, SOFTWARE)
      : [chooseAttentionSchedule(kind, shape, SOFTWARE)];
    for (const schedule of schedules) {
      const entry = prepare(name, kind, shape, schedule);
      entry.first = (await run(entry, 1)).wall;
      entries.push(entry);
    }
  }
}
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const entry of entries) entry.runs.push(await run(entry, entry.dispatches));
}
console.log(
  `${"kernel".padEnd(8)} ${"shape".padEnd(12)} ${"best".padStart(6)} ${"median".padStart(6)} ${
    "cpu".padStart(6)
  }  GFLOP/s   first ms  schedule`,
);
for (const { name, kind, flops, runs, first, schedule } of entries) {
  const sorted = runs.map(({ wall }) => wall).sort((x, y) => x - y);
  const cpu = Math.min(...runs.map((timing) => timing.cpu));
  const rate = (ms: number) => (flops / ms / 1e6).toFixed(1).padStart(6);
  console.log(
    `${kind.padEnd(8)} ${name.padEnd(12)} ${rate(sorted[0])} ${rate(sorted[sorted.length >> 1])} ${
      rate(cpu)
    }  ${first.toFixed(0).padStart(17)}  ${attentionScheduleName(schedule)}`,
  );
}
device.destroy();
