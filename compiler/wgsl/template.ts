/**
 * What kernels out of a template have in common, whatever they compute: a schedule, which is plain data and changes how
 * the work is cut but not the result, and a choice of other schedules that a tuner may measure.
 *
 * @module
 */
import type { KernelText } from "./kernel_text.ts";

/** To be raised when a template's text changes in a way that makes earlier measurements worthless. */
export const TEMPLATE_VERSION = 1;

/** How one kernel is cut: a flat record of words and numbers, whose other fields its template knows. */
export interface Schedule {
  /** Which family of the template's. */
  readonly kind: string;
}

/** Finds the schedule that a kernel shall get, by its key; kernels that it does not know get the template's choice. */
export type ScheduleLookup = (key: string) => Schedule | undefined;

/** One kernel whose text depends on a schedule. */
export interface Template {
  /** Which template it is and the sizes that it has here, such as `matmul 1x1024x384x128 depth,cols`. */
  readonly title: string;
  /** The schedule that it gets when nobody has measured. */
  readonly preferred: Schedule;
  /** Schedules that fit the target, the preferred one first, then by promise. */
  candidates(): readonly Schedule[];
  /** A schedule in words. */
  nameOf(schedule: Schedule): string;
  /** True when the text shows the schedule anyway: listings name it only where it is not the preferred one. */
  readonly isPlain?: boolean;
  /**
   * Emits the entry point's statements.
   *
   * @throws {LimitError} when the schedule needs more than the target allows.
   */
  emit(schedule: Schedule): KernelText;
}

/** The candidate that says the same as a schedule that was stored somewhere, if the template still offers it. */
export function findCandidate(template: Template, stored: Schedule): Schedule | undefined {
  const text = scheduleText(stored);
  return template.candidates().find((candidate) => scheduleText(candidate) === text);
}

/** A schedule as text that does not depend on the order in which its fields were written. */
export function scheduleText(schedule: Schedule): string {
  return JSON.stringify(Object.entries(schedule).sort(([a], [b]) => a < b ? -1 : 1));
}
