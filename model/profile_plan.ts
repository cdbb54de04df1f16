/**
 * Which steps of a training run are profiled, and what is said about them at the end. After two steps of warm-up some steps
 * are timed as they always run, with whatever validations, samples and saves fall between them: these show how busy the
 * queue is. Then a few are timed kernel by kernel: these show what the time goes into.
 *
 * @module
 */
import type { QueueGap } from "../runtime/mod.ts";

/** Steps that are timed as they run, unless told otherwise. */
export const PROFILE_STEPS = 5;
/** Steps before the profile: they pay for what drivers do at the first launches. */
const WARM_UP = 2;
/** Most steps that are timed kernel by kernel. */
const KERNEL_STEPS = 2;
/** Steps from `first` to `end` - 1, counted from 0. */
export interface StepRange {
  /** The first one. */
  readonly first: number;
  /** The one after the last. */
  readonly end: number;
}

/** Which steps are recorded. */
export interface ProfilePlan {
  /** Timed as they always run. */
  readonly queue: StepRange;
  /** Timed kernel by kernel; they follow at once. */
  readonly kernels: StepRange;
}

/** What a profile found, in short. Plain data: it travels from the Worker. */
export interface ProfileSummary {
  /** The file. */
  readonly path: string;
  /** Steps that were timed as they run. */
  readonly queue: StepRange;
  /** Steps that were timed kernel by kernel. */
  readonly kernels: StepRange;
  /** See `QueueUse`; absent when no step was timed as it runs. */
  readonly use?: {
    /** From the first submission's beginning to the last one's end. */
    readonly windowMs: number;
    /** Share of it in which the device worked. */
    readonly busyShare: number;
    /** The longest gap. */
    readonly gap?: QueueGap;
  };
  /** The kernels that took most, with their shares of the time of all kernels. */
  readonly kernelsByTime: readonly { readonly name: string; readonly share: number }[];
  /** Mean milliseconds of a launch, by kernel. */
  readonly launchMs: Readonly<Record<string, number>>;
}

/**
 * Chooses the steps: those after the warm-up, or the last ones of a run that is too short.
 *
 * @param start Steps that are done.
 * @param steps Steps of the whole run.
 * @param wanted Steps to be timed as they run.
 */
export function planProfile(start: number, steps: number, wanted: number): ProfilePlan {
  const left = steps - start;
  const kernels = Math.min(KERNEL_STEPS, wanted, Math.ceil(left / 2));
  const queue = Math.min(wanted, left - kernels);
  const first = start + Math.min(WARM_UP, left - kernels - queue);
  return {
    queue: { first, end: first + queue },
    kernels: { first: first + queue, end: first + queue + kernels },
  };
}

/** `3 to 7`, counted from 1. */
export function words({ first, end }: StepRange): string {
  if (end <= first) return "none";
  return end === first + 1 ? `${end}` : `${first + 1} to ${end}`;
}
