/**
 * Whole training steps of GPT-2 at several sizes, eager and fused: milliseconds, launches, planned memory, and what the
 * first step costs in compiling.
 *
 * @module
 */
import { compileGraph, type Mode } from "../compiler/mod.ts";
import { layoutParameters } from "../model/params.ts";
import { traceInit, traceTrainStep } from "../model/programs.ts";
import { stepScalars } from "../model/optimizer.ts";
import type { GpuDevice, LoadedProgram } from "../runtime/mod.ts";
import { type Spread, timeQueued } from "./measure.ts";

/** A model and its batch. */
export interface StepCase {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly batch: number;
  readonly vocabulary: number;
}

/** What one case in one mode came to. */
export interface StepResult extends StepCase {
  readonly mode: Mode;
  readonly ms: Spread;
  readonly tokensPerSecond: number;
  readonly dispatches: number;
  readonly kernels: number;
  readonly peakBytes: number;
  readonly lowerBoundBytes: number;
  /** Tracing and compiling to WGSL, in milliseconds. */
  readonly compileMs: number;
  /** Making pipelines, and the driver's own compiling during the first step. */
  readonly driverMs: number;
  /** Loss of the first and of the last measured step: a benchmark of a program that does not learn is worth nothing. */
  readonly losses: readonly [number, number];
}

/** The sizes of the published comparison. */
export const STEP_CASES: readonly StepCase[] = [
  { name: "4x128", layers: 4, width: 128, heads: 4, context: 128, batch: 8, vocabulary: 256 },
  { name: "6x384", layers: 6, width: 384, heads: 6, context: 128, batch: 4, vocabulary: 256 },
];

/** GPT-2 itself, at the smallest batch: minutes on a software adapter. */
export const GPT2_CASE: StepCase = {
  name: "gpt2",
  layers: 12,
  width: 768,
  heads: 12,
  context: 64,
  batch: 1,
  vocabulary: 50_257,
};

/** Trains a few steps on one made-up batch and times them. */
export async function benchStep(
  device: GpuDevice,
  shape: StepCase,
  mode: Mode,
  { repeats = 5 }: { repeats?: number } = {},
): Promise<StepResult> {
  const { batch, context, vocabulary } = shape;
  const states = device.createStates();
  const initGraph = traceInit(shape);
  const init = await device.load(compileGraph(initGraph, device.capabilities, { name: "init" }), states);
  init.run({ scalars: { key: 1337 } });
  init.destroy();

  const start = performance.now();
  const program = compileGraph(traceTrainStep(shape, { batch, context }), device.capabilities, {
    mode,
    name: mode,
  });
  const compiled = performance.now();
  const loaded = await device.load(program, states);
  const tokens = Int32Array.from(
    { length: batch * context },
    (_, i) => (i * 7919 + (i * i) % 31) % vocabulary,
  );
  const targets = tokens.map((_, i) => tokens[(i + 1) % tokens.length]);
  let step = 0;
  const run = () => {
    loaded.run({ batch: { tokens, targets }, scalars: stepScalars(step, 1e-3) });
    step++;
  };
  run();
  const first = await device.idle();
  const firstLoss = await lossOf(loaded);
  const warm = await timeQueued(device, run, { repeats: 1 });
  const ms = await timeQueued(device, run, { repeats });
  const result: StepResult = {
    ...shape,
    mode,
    ms,
    tokensPerSecond: batch * context / ms.median * 1e3,
    dispatches: program.dispatches.length,
    kernels: program.kernels.length,
    peakBytes: program.memory.peakBytes,
    lowerBoundBytes: program.memory.lowerBoundBytes,
    compileMs: compiled - start,
    driverMs: first - compiled - warm.median,
    losses: [firstLoss, await lossOf(loaded)],
  };
  loaded.destroy();
  states.destroy();
  return result;
}

async function lossOf(loaded: LoadedProgram): Promise<number> {
  return (await loaded.read("loss"))[0];
}

/** Parameters of a case, without padding. */
export function parametersOf(shape: StepCase): number {
  return layoutParameters(shape).count;
}
