/**
 * The search for a faster schedule of one kernel, without a device: walks outward from the best schedule so far, nearest
 * candidates first, and moves when one is clearly faster. A step in one coordinate costs a trial; the full product of all
 * coordinates would cost hundreds, of a tenth of a second and more each where drivers compile slowly.
 *
 * @module
 */
import type { Schedule } from "../compiler/wgsl/template.ts";
import { scheduleText } from "../compiler/wgsl/template.ts";

/** A challenger is faster only if it takes less than this share of the best one's time: below lies noise. */
export const CLEARLY_FASTER = 0.97;

/** What a comparison of two schedules gave. */
export type Verdict =
  /** Both were timed in alternation; the times are of one dispatch. */
  | { readonly kind: "timed"; readonly challengerMs: number; readonly bestMs: number }
  /** The challenger cannot be used: its results differ, or the driver refuses it. */
  | { readonly kind: "rejected"; readonly reason: string };

/** What to search, and how to measure. */
export interface Search {
  /** The schedule to begin with, then all others by promise. */
  readonly candidates: readonly Schedule[];
  /** Schedules that won elsewhere: they are tried first. */
  readonly hints?: readonly Schedule[];
  /** Compares a challenger with the best so far. */
  readonly compare: (challenger: Schedule, best: Schedule) => Promise<Verdict>;
  /** False when no further comparison may begin. */
  readonly mayGoOn: () => boolean;
}

/** What a search found. */
export interface Found {
  /** The fastest schedule: the first candidate unless another one won. */
  readonly best: Schedule;
  /** Time of the best one over the time of the first one, as measured against each other; 1 if that is the best. */
  readonly ratio: number;
  /** Comparisons. */
  readonly trials: number;
  /** Challengers that cannot be used, with the reasons. */
  readonly rejected: readonly { readonly schedule: Schedule; readonly reason: string }[];
}

/**
 * Searches until all candidates are tried or `mayGoOn` says no. A winner that took several moves, or one lucky measurement,
 * must beat the first schedule once more at the end.
 */
export async function searchSchedules({ candidates, hints = [], compare, mayGoOn }: Search): Promise<Found> {
  const [first, ...others] = candidates;
  const hinted = new Set(hints.map(scheduleText));
  const families = new Set<string>();
  let open = others.map((schedule) => {
    const leads = schedule.kind !== first.kind && !families.has(schedule.kind);
    families.add(schedule.kind);
    return { schedule, leads, hinted: hinted.has(scheduleText(schedule)) };
  });
  const rejected: { schedule: Schedule; reason: string }[] = [];
  let best = first;
  let trials = 0;
  while (open.length > 0 && mayGoOn()) {
    const distances = open.map((each) => each.hinted ? 0 : distance(each.schedule, best, each.leads));
    const next = open[distances.indexOf(Math.min(...distances))];
    open = open.filter((each) => each !== next);
    trials++;
    const verdict = await compare(next.schedule, best);
    if (verdict.kind === "rejected") rejected.push({ schedule: next.schedule, reason: verdict.reason });
    else if (verdict.challengerMs < CLEARLY_FASTER * verdict.bestMs) best = next.schedule;
  }
  if (best === first) return { best, ratio: 1, trials, rejected };
  const verdict = await compare(best, first);
  const ratio = verdict.kind === "timed" ? verdict.challengerMs / verdict.bestMs : Infinity;
  return ratio < CLEARLY_FASTER
    ? { best, ratio, trials, rejected }
    : { best: first, ratio: 1, trials, rejected };
}

/** Doublings after which two numbers are as different as can be: bands go from 1 to "all". */
const MOST_DOUBLINGS = 2;
/** The first schedule of another family is worth a trial before one that is twice away, its others are not. */
const FAMILY = { first: 1.5, others: 100 };

/** How far a schedule is from another: one for each word that differs and for each doubling of a number. */
export function distance(schedule: Schedule, from: Schedule, leads = false): number {
  if (schedule.kind !== from.kind) return leads ? FAMILY.first : FAMILY.others;
  const there = new Map(Object.entries(from));
  let sum = 0;
  for (const [field, value] of Object.entries(schedule)) {
    const other = there.get(field);
    if (value === other) continue;
    const doublings = typeof value === "number" && typeof other === "number"
      ? Math.abs(Math.log2(value / other))
      : 1;
    sum += Math.min(MOST_DOUBLINGS, doublings);
  }
  return sum;
}
