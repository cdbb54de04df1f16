/**
 * What a run does between steps, every so many: one table, so that a new thing to do is a new row.
 *
 * @module
 */
import type { Submissions } from "../pipeline.ts";

/** Something that is done every so many steps. */
export interface PeriodicTask {
  /** Steps between two times; 0: never. */
  readonly every: number;
  /** Whether it is done before the first step too. */
  readonly isDueAtStart?: boolean;
  /** Whether it is done after the last step too, wherever that falls. */
  readonly isDueAtEnd: boolean;
  /** Does it, when `step` steps are done. */
  submissions(step: number): Submissions;
}

/** The first step after `step` at which something is due. */
export function nextDue(tasks: readonly PeriodicTask[], step: number): number {
  return Math.min(
    Infinity,
    ...tasks.filter(({ every }) => every > 0).map(({ every }) => (Math.floor(step / every) + 1) * every),
  );
}

/** Does what is due before the first step. */
export function* doAtStart(tasks: readonly PeriodicTask[]): Submissions {
  for (const task of tasks) if (task.every > 0 && task.isDueAtStart) yield* task.submissions(0);
}

/** Does what is due when `step` of `steps` steps are done, in the table's order. */
export function* doDue(tasks: readonly PeriodicTask[], step: number, steps: number): Submissions {
  for (const task of tasks) {
    if (task.every === 0) continue;
    if (step % task.every === 0 || (step === steps && task.isDueAtEnd)) yield* task.submissions(step);
  }
}
