/**
 * Compiles a training step as its recipe says, and tunes it where the recipe says so. What the tuner finds stays in
 * memory: a benchmark neither profits from earlier runs nor helps later ones.
 *
 * @module
 */
import { compileStages, type Program } from "../compiler/mod.ts";
import { type GpuDevice, tune, TuningCache } from "../runtime/mod.ts";
import type { StepCase } from "./cases.ts";
import { type Rung, traceRung } from "./rungs.ts";

/** A compiled step. */
export interface CompiledStep {
  readonly program: Program;
  /** Tracing and compiling, in milliseconds; the tuner apart. */
  readonly compileMs: number;
  /** What the tuner did, if it did anything. */
  readonly tuning?: string;
}

/**
 * Compiles a rung for the device.
 *
 * @param tuneMs Milliseconds for the tuner; its own choice unless said.
 * @throws {LimitError} when it cannot be made to fit.
 */
export async function compileStep(
  device: GpuDevice,
  shape: StepCase,
  { name, recipe }: Rung,
  tuneMs?: number,
): Promise<CompiledStep> {
  const { optimizations } = recipe;
  const start = performance.now();
  const graph = traceRung(shape, recipe);
  const compilation = compileStages(graph, device.capabilities, { optimizations, name });
  const compileMs = performance.now() - start;
  if (!recipe.tuned) return { program: compilation.program, compileMs };
  const cache = TuningCache.inMemory();
  const { kernels, improved, trials, ms } = await tune(device, [{ compilation, runs: 1 }], {
    cache,
    budgetMs: tuneMs,
  });
  const tuned = compileStages(graph, device.capabilities, { optimizations, name, schedules: cache.lookup });
  const tuning = `${kernels} kernels tuned in ${
    (ms / 1e3).toFixed(1)
  } s, ${trials} schedules tried, ${improved} kernels improved`;
  return { program: tuned.program, compileMs, tuning };
}
