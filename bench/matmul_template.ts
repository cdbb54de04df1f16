/**
 * GFLOP/s of the matmul template by shape and layout, under the schedule that is chosen for this machine's adapter.
 *
 *     deno run -A bench/matmul_template.ts [--rounds 5] [--flops 3e9] [--only NTx512x768x768,...] [--all-candidates]
 *
 * Each round runs every product once, so that a busy machine disturbs all of them alike; a run is one submission of as
 * many dispatches as `--flops` asks for. `best` and `median` are over rounds; `first` is the first dispatch, in which
 * software adapters compile. Waiting blocks until the device is idle, so the clock stops before the promise is awaited:
 * the ten milliseconds that Deno sleeps afterwards are not counted.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  chooseMatmulSchedule,
  matmulCandidates,
  type MatmulSchedule,
  scheduleName,
} from "../compiler/wgsl/matmul.ts";
import type { MatmulShape } from "../compiler/wgsl/tile.ts";
import {
  dispatcher,
  GUARD,
  LAYOUTS,
  matmulShape,
  openTestDevice,
  plainMatmul,
  SOFTWARE as target,
} from "../tests/compiler/matmul_support.ts";

/** Rows, columns and depth: cubes, GPT-2's products forward, of dX and of dW, its head, small models, decoding. */
const SHAPES: readonly string[] = [
  ...["NT", "NN", "TN", "TT"].flatMap((layout) => [`${layout}x512x512x512`, `${layout}x512x768x768`]),
  "NTx1024x3072x768",
  "NTx1024x768x3072",
  "NNx1024x768x3072",
  "NNx1024x3072x768",
  "TNx768x3072x1024",
  "TNx3072x768x1024",
  "NTx64x3072x768",
  "NNx64x768x3072",
  "TNx768x3072x64",
  "NTx64x25152x768",
  "NNx64x768x25152",
  "TNx25152x768x64",
  "NTx1024x384x128",
  "NNx1024x128x384",
  "TNx384x128x1024",
  "NTx1024x256x128",
  "NTx1x3072x768",
  "NNx1x3072x768",
];

interface Entry {
  readonly name: string;
  readonly schedule: MatmulSchedule;
  readonly flops: number;
  readonly dispatches: number;
  readonly record: (pass: GPUComputePassEncoder) => void;
  readonly runs: number[];
  first: number;
}

const flags = parseArgs(Deno.args, {
  string: ["only", "rounds", "flops"],
  boolean: ["all-candidates"],
  default: { rounds: "5", flops: "3e9" },
});
const device = await openTestDevice();
if (!device) {
  console.error("matmul_template: no WebGPU adapter; install mesa-vulkan-drivers or a GPU driver");
  Deno.exit(2);
}
device.addEventListener("uncapturederror", (event) => {
  console.error(`matmul_template: ${(event as GPUUncapturedErrorEvent).error.message}`);
  Deno.exit(1);
});

function parseShape(text: string): MatmulShape {
  const [layout, rows, cols, depth, batch = "1"] = text.split("x");
  const known = LAYOUTS.find((name) => name === layout);
  if (!known || ![rows, cols, depth, batch].every((size) => Number(size) > 0)) {
    console.error(`matmul_template: --only takes shapes such as NTx512x768x768, not ${text}`);
    Deno.exit(2);
  }
  return matmulShape(known, Number(rows), Number(cols), Number(depth), Number(batch));
}

const buffers = new Map<string, GPUBuffer>();

/** One buffer of pseudo-random numbers for each size and part, shared by all products. */
function bufferOf(part: string, elements: number): GPUBuffer {
  const key = `${part} ${elements}`;
  let buffer = buffers.get(key);
  if (!buffer) {
    buffer = device!.createBuffer({
      size: 4 * elements,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    const piece = new Float32Array(Math.min(elements, 2 ** 20)).map((_, i) => (i * 7919 % 1000) / 1000 - 0.5);
    for (let at = 0; at < elements; at += piece.length) {
      device!.queue.writeBuffer(buffer, 4 * at, piece, 0, Math.min(piece.length, elements - at));
      device!.queue.submit([]);
    }
    buffers.set(key, buffer);
  }
  return buffer;
}

function prepare(name: string, shape: MatmulShape, schedule: MatmulSchedule): Entry {
  const { batch, rows, cols, depth } = shape;
  const { wgsl, kernel } = plainMatmul(shape, schedule, target);
  const sizes = [["a", rows * depth], ["b", cols * depth], ["c", rows * cols]] as const;
  const bound = sizes.map(([part, elements]) => bufferOf(part, batch * elements + 2 * GUARD));
  const flops = 2 * batch * rows * cols * depth;
  const dispatches = Math.max(1, Math.min(50, Math.round(Number(flags.flops) / flops)));
  return {
    name,
    schedule,
    flops,
    dispatches,
    record: dispatcher(device!, wgsl, kernel.workgroups, bound),
    runs: [],
    first: 0,
  };
}

/** Milliseconds of one submission of `dispatches` dispatches. */
async function run(entry: Entry, dispatches: number): Promise<number> {
  const encoder = device!.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < dispatches; i++) entry.record(pass);
  pass.end();
  const commands = encoder.finish();
  const start = performance.now();
  device!.queue.submit([commands]);
  const idle = device!.queue.onSubmittedWorkDone();
  const elapsed = performance.now() - start;
  await idle;
  return elapsed;
}

const entries: Entry[] = [];
for (const name of flags.only?.split(",") ?? SHAPES) {
  const shape = parseShape(name);
  const schedules = flags["all-candidates"]
    ? matmulCandidates(shape, target)
    : [chooseMatmulSchedule(shape, target)];
  for (const schedule of schedules) {
    const entry = prepare(name, shape, schedule);
    entry.first = await run(entry, 1);
    entries.push(entry);
  }
}
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const entry of entries) entry.runs.push(await run(entry, entry.dispatches) / entry.dispatches);
}
console.log(
  `${"product".padEnd(20)} ${"best".padStart(6)} ${"median".padStart(6)}  GFLOP/s   first ms  schedule`,
);
for (const { name, flops, runs, first, schedule } of entries) {
  const sorted = runs.toSorted((x, y) => x - y);
  const rate = (ms: number) => (flops / ms / 1e6).toFixed(1).padStart(6);
  const median = sorted[sorted.length >> 1];
  console.log(
    `${name.padEnd(20)} ${rate(sorted[0])} ${rate(median)}  ${first.toFixed(0).padStart(17)}  ${
      scheduleName(schedule)
    }`,
  );
}
device.destroy();
