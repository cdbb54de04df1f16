/**
 * Timing on the device. A wait for the queue ends with a 10 ms sleep of Deno's that has nothing to do with the work, so
 * the clock stops before it; and runs are chained in one submission after another before the wait, so that the host's
 * part is hidden as it is in a training loop.
 *
 * @module
 */
import type { GpuDevice } from "../runtime/mod.ts";

/** Spread of several measurements. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Minimum, median and maximum of some numbers. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted[sorted.length - 1] };
}

/**
 * Milliseconds of one `run`, each measurement over `chain` of them in a row.
 *
 * @param run Queues the work once and returns at once.
 */
export async function timeQueued(
  device: GpuDevice,
  run: () => void,
  { chain = 1, repeats = 5 }: { chain?: number; repeats?: number } = {},
): Promise<Spread> {
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    await device.idle();
    const start = performance.now();
    for (let i = 0; i < chain; i++) run();
    times.push((await device.idle() - start) / chain);
  }
  return spreadOf(times);
}
