/**
 * The part of a peer's program that all peers share: reads `--cases` and `--repeats`, warms up, times, checks, and
 * prints a result a line. A peer brings a {@link Library}: the same work in its own words.
 *
 * @module
 */
import {
  type AttentionCase,
  casesNamed,
  type MatmulCase,
  type PeerCase,
  type RowsCase,
  type StepCase,
  uniform,
} from "./cases.ts";
import { wrongAnswer, wrongLosses, wrongNorm } from "./checks.ts";
import type { GpuWatch } from "./instrument.ts";
import type { PeerName, PeerResult, PeerSpread } from "./protocol.ts";

/** A kernel with its operands on the device. */
export interface Kernel {
  /** Queues one run and lets go of its outputs. */
  run(): Promise<void> | void;
  /** Runs once more and reads the outputs. */
  read(): Promise<Float32Array[]>;
}

/** A model in training. */
export interface Training {
  /** Queues one step; what it returns reads that step's figures, once the step's time has been taken. */
  step(): Promise<() => Promise<StepFigures>>;
}

/** What a step found. */
export interface StepFigures {
  readonly loss: number;
  /** Norm of all gradients together, before clipping. */
  readonly norm: number;
}

/** One library's way to do the cases. */
export interface Library {
  readonly peer: PeerName;
  readonly backend: string;
  readonly version: string;
  /** Counts on the GPU; absent where no GPU is used. */
  readonly gpu?: GpuWatch;
  kernel(one: MatmulCase | RowsCase | AttentionCase, inputs: readonly Float32Array<ArrayBuffer>[]): Kernel;
  training(one: StepCase): Promise<Training> | Training;
  /** Waits until everything queued is done, and says when that was, by `performance.now()`. */
  idle(): Promise<number>;
}

/** Runs the cases that the command line names. */
export async function runPeer(library: Library, args: readonly string[]): Promise<void> {
  const flag = (name: string, otherwise: string) => args[args.indexOf(name) + 1 || args.length] ?? otherwise;
  const repeats = Number(flag("--repeats", "5"));
  for (const one of casesNamed(flag("--cases", "").split(",").filter(Boolean))) {
    console.log(JSON.stringify(await measureCase(library, one, repeats)));
  }
}

async function measureCase(library: Library, one: PeerCase, repeats: number): Promise<PeerResult> {
  const { peer, backend, version, gpu } = library;
  const facts = { peer, backend, version, case: one.name };
  gpu?.reset();
  try {
    const measured = one.kind === "step"
      ? await measureStep(library, one, repeats)
      : await measureKernel(library, one, repeats);
    // An error event comes a turn of the event loop after its cause.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const error = gpu?.error ? `WebGPU: ${gpu.error}` : measured.error;
    return { ...facts, ...measured, ...counts(gpu), error };
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { ...facts, ...counts(gpu), error: gpu?.error ? `WebGPU: ${gpu.error}; then ${reason}` : reason };
  }
}

/** Not one: jax-js traces and compiles again at the second step, when the state is no longer made of constants. */
const WARM_UP_STEPS = 2;

type Measured = Omit<PeerResult, "peer" | "backend" | "version" | "case">;

async function measureKernel(
  library: Library,
  one: MatmulCase | RowsCase | AttentionCase,
  repeats: number,
): Promise<Measured> {
  const inputs = inputsOf(one);
  const kernel = library.kernel(one, inputs);
  const begin = performance.now();
  await kernel.run();
  const firstMs = await library.idle() - begin;
  const before = library.gpu?.dispatches ?? 0;
  const oneMs = await timeChain(library, kernel, 1);
  const dispatches = (library.gpu?.dispatches ?? 0) - before;
  // Long enough in a row that neither launch nor wait counts.
  const chain = Math.max(1, Math.min(10, Math.ceil(300 / oneMs)));
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) times.push(await timeChain(library, kernel, chain));
  const ms = spread(times);
  const error = wrongAnswer(one, { inputs, outputs: await kernel.read() });
  const gflops = one.kind === "matmul" ? 2 * one.rows * one.depth * one.cols / ms.median / 1e6 : undefined;
  return { ms, firstMs, gflops, dispatches: library.gpu && dispatches, error };
}

async function timeChain(library: Library, kernel: Kernel, chain: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < chain; i++) await kernel.run();
  return (await library.idle() - start) / chain;
}

async function measureStep(library: Library, one: StepCase, repeats: number): Promise<Measured> {
  const training = await library.training(one);
  await library.idle();
  const [times, losses]: number[][] = [[], []];
  let dispatches = 0, norm = NaN;
  for (let step = 0; step < repeats + WARM_UP_STEPS; step++) {
    const before = library.gpu?.dispatches ?? 0;
    const start = performance.now();
    const figures = await training.step();
    times.push(await library.idle() - start);
    dispatches = (library.gpu?.dispatches ?? 0) - before;
    const found = await figures();
    losses.push(found.loss);
    if (step === 0) norm = found.norm;
  }
  const firstMs = times[0];
  const ms = spread(times.slice(WARM_UP_STEPS));
  return {
    ms,
    firstMs,
    tokensPerSecond: one.batch * one.context / ms.median * 1e3,
    losses,
    norm,
    dispatches: library.gpu && dispatches,
    error: wrongLosses(one, losses) ?? wrongNorm(one, norm),
  };
}

function inputsOf(one: MatmulCase | RowsCase | AttentionCase): Float32Array<ArrayBuffer>[] {
  switch (one.kind) {
    case "matmul":
      return [uniform(1, one.rows * one.depth), uniform(2, one.depth * one.cols)];
    case "softmax":
      return [uniform(1, one.rows * one.cols)];
    case "layernorm":
    case "layernorm-grad":
      return [
        uniform(1, one.rows * one.cols),
        uniform(2, one.cols),
        uniform(3, one.cols),
        uniform(4, one.rows * one.cols),
      ];
    case "attention": {
      const size = one.batch * one.heads * one.context * one.headWidth;
      return [uniform(1, size), uniform(2, size), uniform(3, size)];
    }
  }
}

function spread(times: readonly number[]): PeerSpread {
  const sorted = [...times].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted[sorted.length - 1] };
}

function counts(gpu: GpuWatch | undefined): Pick<PeerResult, "peakBytes" | "residentBytes"> {
  return { peakBytes: gpu?.peakBytes, residentBytes: Deno.memoryUsage().rss };
}
