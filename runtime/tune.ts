/**
 * Finds faster schedules for a program's kernels on the device at hand, in a few seconds: the kernels that take the most
 * time get the most of it. What was found, and what was looked at in vain, goes into a {@link TuningCache}, so that the
 * next compilation for the same device gets the same kernels without measuring anything.
 *
 * @module
 */
import type { Compilation } from "../compiler/compile.ts";
import type { Tunable } from "../compiler/emit.ts";
import { LimitError } from "../compiler/errors.ts";
import type { Dispatch } from "../compiler/program.ts";
import { type Schedule, scheduleText } from "../compiler/wgsl/template.ts";
import type { GpuDevice } from "./device.ts";
import { GpuError } from "./errors.ts";
import type { TuningCache } from "./tune_cache.ts";
import { KernelBench } from "./tune_kernel.ts";
import { searchSchedules } from "./tune_search.ts";

/** One program, and how often it runs for each time that the others do. */
export interface TuneTarget {
  /** All stages of its compilation. */
  readonly compilation: Compilation;
  /** Relative number of runs. */
  readonly runs: number;
}

/** How to tune. */
export interface TuneOptions {
  /** Milliseconds that the search may take, beside what the driver needs for the programs anyway; 4000 by default. */
  readonly budgetMs?: number;
  /** Takes what is found. Kernels that it knows already are not searched. */
  readonly cache: TuningCache;
  /** Searches kernels that the cache knows as well, beginning with what it has. */
  readonly again?: boolean;
  /** Is told, in one line, of schedules whose results are wrong. */
  readonly warn?: (line: string) => void;
}

/** What tuning gave. */
export interface TuneReport {
  /** Kernels that were looked at. */
  readonly kernels: number;
  /** Of these, kernels that got a faster schedule. */
  readonly improved: number;
  /** Schedules that were measured. */
  readonly trials: number;
  /** Milliseconds of one run of all targets, as often as each runs, in the kernels that were looked at: before. */
  readonly beforeMs: number;
  /** And after. */
  readonly afterMs: number;
  /** Milliseconds that it took. */
  readonly ms: number;
}

/** By default the whole search takes about so long. */
const BUDGET_MS = 4000;
/** A byte that moves costs as much as so many operations: about as much on a processor as on a GPU. */
const OPERATIONS_OF_A_BYTE = 8;
/** Kernels with a smaller share are left alone. */
const SMALL_SHARE = 0.01;
/** Finding out how long kernels take may cost this share of the budget; what is left out seemed to be cheap. */
const GLANCES_SHARE = 0.4;
/** No kernel is tuned of which a single dispatch takes this share of the budget. */
const TOO_SLOW_SHARE = 0.1;

/** A kernel that is tuned at all gets this share of the budget: less would not do for a few trials. */
const LEAST_SHARE = 0.1;

interface Work {
  readonly tunable: Tunable;
  readonly dispatch: Dispatch;
  /** Dispatches of one run of all targets. */
  count: number;
  /** What it may cost in all, in operations, before it was timed. */
  guess: number;
}

/** The kernels of the targets that could be cut in other ways and that the cache does not know. */
export function untuned(targets: readonly TuneTarget[], cache: TuningCache): readonly Tunable[] {
  return worksOf(targets).map(({ tunable }) => tunable).filter(({ key }) => !cache.get(key));
}

/**
 * Tunes the kernels of some programs and keeps the results in the cache, which the caller saves. Kernels that are too small
 * to matter, or for which no time was left, are kept there as well: the next run gets the same kernels.
 *
 * @throws {GpuError} when the device fails.
 */
export async function tune(
  device: GpuDevice,
  targets: readonly TuneTarget[],
  { budgetMs = BUDGET_MS, cache, again = false, warn = () => {} }: TuneOptions,
): Promise<TuneReport> {
  const works = worksOf(targets).filter(({ tunable }) => again || !cache.get(tunable.key));
  for (const { compilation } of targets) await device.warmUp(compilation.program);
  const started = performance.now();
  const guessed = works.reduce((sum, { guess }) => sum + guess, 0);
  const timed: (Work & { readonly ms: number })[] = [];
  for (const work of works.filter(({ guess }) => guess >= SMALL_SHARE * guessed)) {
    if (performance.now() > started + GLANCES_SHARE * budgetMs) break;
    const ms = await onBench(device, work, (bench) => bench.glance(startOf(work.tunable, cache)));
    if (ms !== undefined && ms < TOO_SLOW_SHARE * budgetMs) timed.push({ ...work, ms });
  }
  for (const { tunable } of works) {
    if (!cache.get(tunable.key)) cache.set(tunable.key, { schedule: tunable.preferred, trials: 0 });
  }
  timed.sort((a, b) => b.ms * b.count - a.ms * a.count);
  let left = timed.reduce((sum, { ms, count }) => sum + ms * count, 0);
  const report = { kernels: 0, improved: 0, trials: 0, beforeMs: 0, afterMs: 0 };
  const winners: Schedule[] = [];
  for (const work of timed) {
    const { tunable, count } = work;
    const total = work.ms * count;
    const now = performance.now();
    const end = started + budgetMs;
    if (now >= end) break;
    const until = now + Math.max(LEAST_SHARE * budgetMs, (end - now) * total / left);
    left -= total;
    const result = await onBench(device, work, async (bench) => {
      const start = startOf(tunable, cache);
      const ms = await bench.time(start);
      const found = await searchSchedules({
        candidates: [start, ...tunable.candidates().filter((candidate) => !same(candidate, start))],
        hints: winners.filter(({ kind }) => kind === start.kind),
        compare: (challenger, best) => bench.compare(challenger, best),
        mayGoOn: () => performance.now() < until,
      });
      return { ms, found };
    });
    if (!result) continue;
    const { ms, found: { best, ratio, trials, rejected } } = result;
    for (const { schedule, reason } of rejected) {
      warn(`${tunable.key}: ${tunable.nameOf(schedule)} is not used: ${reason}`);
    }
    report.kernels++;
    report.trials += trials;
    report.beforeMs += ms * count;
    report.afterMs += ms * count * ratio;
    if (ratio < 1) {
      report.improved++;
      winners.push(best);
    }
    const earlier = cache.get(tunable.key)?.trials ?? 0;
    cache.set(tunable.key, { schedule: best, trials: earlier + trials, beforeMs: ms, afterMs: ms * ratio });
  }
  return { ...report, ms: performance.now() - started };
}

/** Every kernel once, the dearest first, as far as can be guessed. */
function worksOf(targets: readonly TuneTarget[]): Work[] {
  const works = new Map<string, Work>();
  for (const { compilation: { tunables, program }, runs } of targets) {
    for (const tunable of tunables) {
      const dispatches = program.dispatches.filter(({ kernel }) => kernel === tunable.kernel);
      const [dispatch] = dispatches;
      const work = works.get(tunable.key) ?? { tunable, dispatch, count: 0, guess: 0 };
      const launches = runs * dispatches.length;
      work.count += launches;
      work.guess += launches * (dispatch.flops + OPERATIONS_OF_A_BYTE * dispatch.bytes);
      works.set(tunable.key, work);
    }
  }
  return [...works.values()].sort((a, b) => b.guess - a.guess);
}

/** What the cache says, as far as the template still offers it, or else the template's choice. */
function startOf(tunable: Tunable, cache: TuningCache): Schedule {
  const known = cache.get(tunable.key)?.schedule;
  return tunable.candidates().find((candidate) => known && same(candidate, known)) ?? tunable.preferred;
}

function same(a: Schedule, b: Schedule): boolean {
  return scheduleText(a) === scheduleText(b);
}

/** Runs `body` on a bench for a kernel; `undefined` when there is no memory for one or the driver refuses the kernel. */
async function onBench<T>(
  device: GpuDevice,
  { tunable, dispatch }: Work,
  body: (bench: KernelBench) => Promise<T>,
): Promise<T | undefined> {
  let bench: KernelBench | undefined;
  try {
    bench = KernelBench.open(device, tunable, dispatch);
    return await body(bench);
  } catch (problem) {
    const skip = problem instanceof LimitError ||
      (problem instanceof GpuError && problem.kind === "validation");
    if (!skip) throw problem;
  } finally {
    bench?.close();
  }
}
