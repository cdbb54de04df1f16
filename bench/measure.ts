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

/** Minimum, median and maximum of some numbers; the median of an even number of them lies between the middle two. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1];
  return { min: sorted[0], median: (sorted[low] + sorted[high]) / 2, max: sorted[sorted.length - 1] };
}

/** Milliseconds of one `run` out of `chain` in a row. `run` queues the work once and returns at once. */
export async function timeOnce(device: GpuDevice, run: () => void, chain = 1): Promise<number> {
  await device.idle();
  const start = performance.now();
  for (let i = 0; i < chain; i++) run();
  return (await device.idle() - start) / chain;
}

/** Milliseconds of one `run`, each measurement over `chain` of them in a row. */
export async function timeQueued(
  device: GpuDevice,
  run: () => void,
  { chain = 1, repeats = 5 }: { chain?: number; repeats?: number } = {},
): Promise<Spread> {
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) times.push(await timeOnce(device, run, chain));
  return spreadOf(times);
}

/** Runs in a row that make a measurement of about `target` milliseconds, for work of `ms`: 1 to `most`. */
export function chainFor(ms: number, target = 100, most = 50): number {
  return Math.max(1, Math.min(most, Math.round(target / Math.max(ms, 1e-3))));
}
