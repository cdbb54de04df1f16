/**
 * The learning rate as a pure function of the step: linear warm-up, then unless told otherwise a cosine down to a tenth (the
 * recipe of GPT-3, Brown et al. 2020, appendix B, as used by reproductions of GPT-2).
 *
 * @module
 */
import { InputError } from "./errors.ts";

/** How the learning rate goes from its peak to its floor; `constant` stays at the peak. */
export const SCHEDULE_SHAPES = ["cosine", "linear", "constant"] as const;
/** Name of a course of the learning rate. */
export type ScheduleShape = (typeof SCHEDULE_SHAPES)[number];

/** What a user chose; the rest follows from the length of the run. */
export interface ScheduleChoice {
  /** How the learning rate falls. */
  readonly shape?: ScheduleShape;
  /** Steps of warm-up. */
  readonly warmup?: number;
  /** Learning rate at the end. */
  readonly floor?: number;
}

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
  /** How it falls. */
  readonly shape: ScheduleShape;
}

/** Warm-up as a part of the run: 715 of 19,073 steps. */
const WARMUP_PART = 715 / 19_073;

/**
 * Fewest steps of warm-up where a run has room for them. Adam's first steps have unit size in every coordinate at once:
 * measured on the nano preset, gradient norms reach 90 and the loss jumps after 20 steps of warm-up, and neither after 50.
 */
const LEAST_WARMUP = 50;

/** The schedule of a run of `steps` steps: warm-up of 3.75%, then a cosine to a tenth of `peak`, but for what was chosen. */
export function scheduleFor(peak: number, steps: number, choice: ScheduleChoice = {}): Schedule {
  const least = Math.min(LEAST_WARMUP, Math.ceil(steps / 5));
  const { shape = "cosine", warmup = Math.max(least, Math.round(steps * WARMUP_PART)) } = choice;
  const { floor = shape === "constant" ? peak : peak / 10 } = choice;
  return { peak, floor, warmup, steps, shape };
}

/**
 * Refuses a choice that makes no schedule.
 *
 * @throws {InputError}
 */
export function checkSchedule(
  peak: number,
  steps: number,
  { shape, warmup, floor }: ScheduleChoice = {},
): void {
  if (warmup !== undefined && warmup > steps) {
    throw new InputError(
      `--warmup ${warmup}`,
      `longer than the run of ${steps} steps`,
      `take --warmup ${Math.ceil(steps / 5)} or less`,
    );
  }
  if (floor !== undefined && shape === "constant") {
    throw new InputError(
      `--min-lr ${floor}`,
      "a constant learning rate does not fall",
      "leave it out, or take another --schedule",
    );
  }
  if (floor !== undefined && floor > peak) {
    throw new InputError(
      `--min-lr ${floor}`,
      `above the peak learning rate of ${peak}`,
      "take a smaller one, or a larger --lr",
    );
  }
}

/**
 * The learning rate of step `step`, counted from 0. Past the end it stays at the floor.
 *
 * @example
 * ```ts
 * import { learningRate, scheduleFor } from "@sinter/sinter/model";
 * const schedule = scheduleFor(6e-4, 19_073);
 * console.log(learningRate(schedule, 0), learningRate(schedule, 19_072)); // far below the peak at both ends
 * ```
 */
export function learningRate({ peak, floor, warmup, steps, shape }: Schedule, step: number): number {
  if (step < warmup) return peak * (step + 1) / warmup;
  if (shape === "constant") return peak;
  if (step >= steps) return floor;
  const progress = (step - warmup) / (steps - warmup);
  const left = shape === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return floor + left * (peak - floor);
}
