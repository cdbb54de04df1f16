/**
 * Which schedules the kernels of a run get: those that the run began with when it goes on, otherwise those that were
 * measured on this adapter before, and, when the run is long enough to pay for it, those that are measured now.
 *
 * Schedules change results by rounding. So a checkpoint keeps those of its run: a run that goes on computes exactly what
 * it would have computed without the interruption, whatever was measured meanwhile.
 *
 * @module
 */
import {
  type Compilation,
  compileStages,
  type Graph,
  type Program,
  type Schedule,
  type ScheduleLookup,
  scheduleText,
} from "../compiler/mod.ts";
import {
  type GpuDevice,
  GpuError,
  openDevice,
  tune,
  type TuneReport,
  type TuneTarget,
  TuningCache,
  untuned,
} from "../runtime/mod.ts";
import type { ModeName } from "./run_options.ts";

/** Whether to measure: when it pays, in any case, or never, not even using what was measured before. */
export const TUNE_NAMES = ["auto", "always", "never"] as const;
/** One of {@link TUNE_NAMES}. */
export type TuneChoice = (typeof TUNE_NAMES)[number];

/** Schedules by the keys of their kernels: plain data, as a checkpoint keeps it. */
export type Schedules = Readonly<Record<string, Schedule>>;

/** A program to compile, and how often it runs for each step. */
export interface Job {
  /** What it computes. */
  readonly graph: Graph;
  /** Its name in messages. */
  readonly name: string;
  /** Runs for each step. */
  readonly runs: number;
  /** Most memory that it may hold, in bytes. */
  readonly memoryBytes?: number;
}

/** Where schedules come from. */
export interface TuningOptions {
  /** `auto` by default. */
  readonly choice?: TuneChoice;
  /** Schedules of a run that goes on. They are used as they are unless `choice` is `always`. */
  readonly recorded?: Schedules;
  /** Compiler mode; eager programs, which others are compared with, are never tuned. */
  readonly mode: ModeName;
  /** Times that the programs will run: long runs pay for measuring. */
  readonly steps: number;
  /** Is told, in one line each, what was measured and what could not be done. */
  readonly notify?: (line: string) => void;
  /** Measured schedules; by default those on disk. */
  readonly cache?: TuningCache;
  /** Is given every program as it will run. */
  readonly onCompiled?: (compilation: Compilation) => void;
}

/**
 * Floating-point operations that must lie ahead for a few seconds of measuring to pay: on a processor those of some ten
 * minutes, because the defaults were measured there and little is left to gain; on a GPU those of some ten seconds,
 * because there the defaults are customary sizes that nobody has measured.
 */
const WORTHWHILE_FLOPS = { software: 2e13, gpu: 2e13 };

/** Compiles the programs of one run under its schedules. */
export class Tuning {
  private constructor(
    private readonly device: GpuDevice,
    private readonly options: TuningOptions,
    private readonly cache: TuningCache | undefined,
  ) {}

  /** Reads what was measured before, if it is to be used. */
  static async open(device: GpuDevice, options: TuningOptions): Promise<Tuning> {
    const { choice = "auto", recorded, notify, mode } = options;
    const unused = mode === "eager" || choice === "never" || (recorded !== undefined && choice !== "always");
    const cache = unused ? undefined : options.cache ?? await TuningCache.open(device, { warn: notify });
    return new Tuning(device, options, cache);
  }

  /** Is given every program as it will run: also what is compiled elsewhere for the same run. */
  get onCompiled(): TuningOptions["onCompiled"] {
    return this.options.onCompiled;
  }

  /** Compiles programs, after measuring their kernels if that is due. */
  async compile(jobs: readonly Job[]): Promise<Program[]> {
    const stages = await this.#settled(jobs);
    for (const compilation of stages) this.options.onCompiled?.(compilation);
    return stages.map(({ program }) => program);
  }

  async #settled(jobs: readonly Job[]): Promise<Compilation[]> {
    const stages = this.#stages(jobs);
    if (!this.cache) {
      this.#compareWithRecorded(stages.map(({ program }) => program));
      return stages;
    }
    const targets = stages.map((compilation, i) => ({ compilation, runs: jobs[i].runs }));
    if (!this.#isDue(targets, this.cache)) return stages;
    await this.#tune(targets, this.cache);
    await this.cache.save();
    return this.#stages(jobs);
  }

  /** On a device of its own: a kernel that the driver cannot stand takes that one with it, and not the run. */
  async #tune(targets: readonly TuneTarget[], cache: TuningCache): Promise<void> {
    const { choice, notify = () => {} } = this.options;
    const device = await openDevice();
    try {
      const report = await tune(device, targets, { cache, again: choice === "always", warn: notify });
      notify(describe(report));
    } catch (problem) {
      if (!(problem instanceof GpuError)) throw problem;
      notify(`tuning stopped: ${problem.message}; kernels that were not reached keep their defaults`);
    } finally {
      device.destroy();
    }
  }

  #stages(jobs: readonly Job[]): Compilation[] {
    const { device: { capabilities }, cache, options: { choice, mode, recorded = {} } } = this;
    const known = choice === "never" ? {} : recorded;
    const schedules: ScheduleLookup = cache ? cache.lookup : (key) => known[key];
    return jobs.map(({ graph, name, memoryBytes }) =>
      compileStages(graph, capabilities, { mode, name, schedules, memoryBytes })
    );
  }

  #isDue(targets: readonly TuneTarget[], cache: TuningCache): boolean {
    const { device: { capabilities }, options: { choice, steps } } = this;
    if (choice === "always") return targets.some(({ compilation }) => compilation.tunables.length > 0);
    const ahead = steps *
      targets.reduce(
        (sum, { compilation: { program }, runs }) =>
          sum + runs * program.dispatches.reduce((flops, dispatch) => flops + dispatch.flops, 0),
        0,
      );
    const enough = capabilities.software ? WORTHWHILE_FLOPS.software : WORTHWHILE_FLOPS.gpu;
    return ahead >= enough && untuned(targets, cache).length > 0;
  }

  /** Says so when a run cannot go on with its own kernels. */
  #compareWithRecorded(programs: readonly Program[]): void {
    const { recorded, choice, notify } = this.options;
    if (!recorded || choice === "never") return;
    const used = schedulesOf(programs);
    const other = Object.entries(used).filter(([key, schedule]) =>
      !recorded[key] || scheduleText(schedule) !== scheduleText(recorded[key])
    );
    if (other.length === 0 || Object.keys(recorded).length === 0) return;
    notify?.(
      `${other.length} of ${
        Object.keys(used).length
      } kernels are not those that the run began with (another ` +
        "adapter or version): it goes on, equal up to rounding",
    );
  }
}

/** The schedules that the kernels of some programs got. */
export function schedulesOf(programs: readonly Program[]): Schedules {
  const schedules: Record<string, Schedule> = {};
  for (const { kernels } of programs) {
    for (const { template } of kernels) if (template) schedules[template.key] = template.schedule;
  }
  return schedules;
}

/** `tuned 6 kernels in 4.1 s (23 schedules tried): 2 are faster now, 31.0 instead of 34.2 ms a step in them all`. */
function describe({ kernels, improved, trials, beforeMs, afterMs, ms }: TuneReport): string {
  const gain = improved === 0
    ? "the defaults are the fastest"
    : `${improved} are faster now, ${afterMs.toFixed(1)} instead of ${
      beforeMs.toFixed(1)
    } ms a step in them all`;
  const what = kernels === 1 ? "1 kernel" : `${kernels} kernels`;
  return `tuned ${what} in ${(ms / 1000).toFixed(1)} s (${trials} schedules tried): ${gain}`;
}
