/**
 * The learning rate as a pure function of the step: linear warm-up, then a cosine down to a tenth (the recipe of
 * GPT-3, Brown et al. 2020, appendix B, as used by reproductions of GPT-2).
 *
 * @module
 */

/** What shapes the learning rate over a run. */
export interface Schedule {
  /** Learning rate at the end of the warm-up. */
  readonly peak: number;
  /** Learning rate at the end of the run. */
  readonly floor: number;
  /** Steps of warm-up. */
  readonly warmup: number;
  /** Steps of the run. */
  readonly steps: number;
}

/** Warm-up as a part of the run: 715 of 19,073 steps. */
const WARMUP_PART = 715 / 19_073;

/**
 * Fewest steps of warm-up where a run has room for them. Adam's first steps have unit size in every coordinate at once:
 * measured on the nano preset, gradient norms reach 90 and the loss jumps after 20 steps of warm-up, and neither after 50.
 */
const LEAST_WARMUP = 50;

/** The schedule of a run of `steps` steps: warm-up of 3.75%, then a cosine to a tenth of `peak`. */
export function scheduleFor(peak: number, steps: number): Schedule {
  const least = Math.min(LEAST_WARMUP, Math.ceil(steps / 5));
  return { peak, floor: peak / 10, warmup: Math.max(least, Math.round(steps * WARMUP_PART)), steps };
}

/**
 * The learning rate of step `step`, counted from 0. Past the end it stays at the floor.
 *
 * @example
 * ```ts
 * import { learningRate, scheduleFor } from "./schedule.ts";
 * const schedule = scheduleFor(6e-4, 19_073);
 * learningRate(schedule, 714); // 6e-4
 * ```
 */
export function learningRate({ peak, floor, warmup, steps }: Schedule, step: number): number {
  if (step < warmup) return peak * (step + 1) / warmup;
  if (step >= steps) return floor;
  const progress = (step - warmup) / (steps - warmup);
  return floor + 0.5 * (1 + Math.cos(Math.PI * progress)) * (peak - floor);
}
