/**
 * Kernel by kernel: where the milliseconds of a training step go, by the device's own clock, and how near each kernel
 * comes to what the adapter can do.
 *
 * @module
 */
import type { DispatchTime, GpuDevice } from "../runtime/mod.ts";
import type { StepCase } from "./cases.ts";
import { compileStep } from "./compile_step.ts";
import { bandwidthOf, type Ceilings } from "./ceilings.ts";
import { type Spread, spreadOf } from "./measure.ts";
import type { Rung } from "./rungs.ts";
import { TrainingRun } from "./training.ts";

/** All launches of one kernel in a step. */
export interface KernelResult {
  readonly kernel: string;
  readonly launches: number;
  /** Milliseconds of a step's launches together, over the runs. */
  readonly ms: Spread;
  /** Of the sum of all kernels' medians. */
  readonly share: number;
  /** Gigaflops a second at the median. */
  readonly gflops: number;
  /** Bytes read and written, in gigabytes a second at the median. */
  readonly gbs: number;
  /** The larger of both rates as shares of their ceilings. Past 1 where data came from a cache. */
  readonly ofCeiling: number;
  /** Which of the two it is. */
  readonly bound: "arithmetic" | "bandwidth";
}

/** The kernels of one case, slowest first. */
export interface KernelTable {
  readonly case: string;
  readonly rung: string;
  /** Sum of the kernels' medians. */
  readonly ms: number;
  readonly kernels: readonly KernelResult[];
}

/** Profiles `rounds` steps of a rung. */
export async function profileKernels(
  device: GpuDevice,
  shape: StepCase,
  rung: Rung,
  ceilings: Ceilings,
  rounds: number,
): Promise<KernelTable> {
  const { program } = await compileStep(device, shape, rung);
  const run = await TrainingRun.load(device, shape, rung.recipe, program);
  try {
    await run.loss();
    const profiles: DispatchTime[][] = [];
    for (let round = 0; round < rounds; round++) profiles.push(await run.profile());
    return { case: shape.name, rung: rung.name, ...tableOf(profiles, ceilings) };
  } finally {
    run.destroy();
  }
}

/** Adds up the launches of each kernel in every run, and takes medians over the runs. */
export function tableOf(
  profiles: readonly (readonly DispatchTime[])[],
  ceilings: Ceilings,
): { ms: number; kernels: KernelResult[] } {
  const rows = [...new Set(profiles[0].map(({ kernel }) => kernel))].map((kernel) => {
    const mine = profiles.map((run) => run.filter((time) => time.kernel === kernel));
    const sum = (run: readonly DispatchTime[], of: "ms" | "bytes" | "flops") =>
      run.reduce((total, time) => total + time[of], 0);
    const ms = spreadOf(mine.map((run) => sum(run, "ms")));
    const gflops = sum(mine[0], "flops") / ms.median / 1e6;
    const gbs = sum(mine[0], "bytes") / ms.median / 1e6;
    const [arithmetic, bandwidth] = [gflops / ceilings.f32Gflops, gbs / bandwidthOf(ceilings)];
    return {
      kernel,
      launches: mine[0].length,
      ms,
      gflops,
      gbs,
      ofCeiling: Math.max(arithmetic, bandwidth),
      bound: arithmetic > bandwidth ? "arithmetic" as const : "bandwidth" as const,
    };
  });
  const ms = rows.reduce((total, row) => total + row.ms.median, 0);
  const kernels = rows.map((row) => ({ ...row, share: row.ms.median / ms }));
  return { ms, kernels: kernels.sort((a, b) => b.ms.median - a.ms.median) };
}
