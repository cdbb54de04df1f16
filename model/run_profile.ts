/**
 * The profile of a training run while it is made: switches a recorder on and off as `profile_plan.ts` says, and turns what it
 * took down into a trace file and a summary.
 *
 * @module
 */
import type { Program } from "../compiler/mod.ts";
import {
  type DeviceSpan,
  type GpuDevice,
  type HostSpan,
  type QueueUse,
  queueUse,
  Recorder,
  type Recording,
  type TraceCounter,
  type TraceRow,
  traceText,
} from "../runtime/mod.ts";
import { InputError } from "./errors.ts";
import { checkProfilePath, writeProfile } from "./profile_file.ts";
import { type ProfilePlan, type ProfileSummary, type StepRange, words } from "./profile_plan.ts";

/** Shorter gaps are not drawn as such: the submissions show them. */
const DRAWN_GAP_MS = 0.02;
/** Kernels that are named at the end. */
const NAMED_KERNELS = 3;

/** Records the chosen steps of a run. */
export class RunProfile {
  readonly #losses = new Map<number, number>();
  readonly #memory: TraceCounter[] = [];
  #done = false;
  /** Steps that have been submitted while something was recorded. */
  #reached = 0;

  private constructor(
    private readonly path: string,
    private readonly device: GpuDevice,
    private readonly recorder: Recorder,
    private readonly plan: ProfilePlan,
  ) {}

  /**
   * Finds out whether there can be a profile, and attaches a recorder to the device.
   *
   * @throws {InputError} when the device has no timestamps, no step is left, or the file cannot be written.
   */
  static async open(path: string, device: GpuDevice, plan: ProfilePlan): Promise<RunProfile> {
    const flag = `--profile ${path}`;
    if (!device.info.timestamps) {
      throw new InputError(
        flag,
        `${device.info.description} has no timestamps`,
        "leave --profile out, or use another adapter",
      );
    }
    if (plan.kernels.end === plan.queue.first) {
      throw new InputError(flag, "the run has no step left to profile", "give a larger --steps");
    }
    await checkProfilePath(path);
    return new RunProfile(path, device, await Recorder.start(device), plan);
  }

  /** Where the steps from `done` on must be cut: everything before it is recorded in one way. */
  boundaryAfter(done: number): number {
    const { queue, kernels } = this.plan;
    return [queue.first, queue.end, kernels.end].find((step) => step > done) ?? Infinity;
  }

  /** True when all chosen steps are done and the file has not been written. */
  isDue(done: number): boolean {
    return !this.#done && done >= this.plan.kernels.end;
  }

  /** True while the file has not been written and a step has been recorded. */
  get isPending(): boolean {
    return !this.#done && this.#reached > 0;
  }

  /** Steps from `first` on are about to be submitted, up to the next boundary at most. */
  enterSteps(first: number): void {
    if (this.#done) return;
    const { queue, kernels } = this.plan;
    this.recorder.mode = first >= queue.first && first < queue.end
      ? "queue"
      : first >= kernels.first && first < kernels.end
      ? "kernels"
      : "off";
  }

  /** Something else than steps is about to be submitted. */
  enterOther(step: number): void {
    if (this.recorder.mode === "kernels") this.recorder.mode = "off";
    this.recorder.args = { afterStep: step };
  }

  /** Step `step` (from 0) is about to be submitted. */
  enterStep(step: number): void {
    this.recorder.args = { step: step + 1 };
    if (this.recorder.mode === "off") return;
    this.#reached = step + 1;
    const value = this.device.memory.allocatedBytes;
    this.#memory.push({ name: "device memory, bytes", process: "GPU", at: performance.now(), value });
  }

  /** The loss of a step (from 0) is known. */
  noteLoss(step: number, loss: number): void {
    this.#losses.set(step + 1, loss);
  }

  /** Begins a span of the Worker's thread; see `Recorder.begin`. */
  begin(name: string): (() => void) | undefined {
    return this.recorder.begin(name);
  }

  /** Takes down what another thread did. */
  add(span: HostSpan): void {
    if (!this.#done) this.recorder.add(span);
  }

  /**
   * Ends the profile and writes the file.
   *
   * @param programs What was run, for the file's facts.
   * @param facts More of them.
   */
  async finish(
    programs: readonly Program[],
    facts: Readonly<Record<string, unknown>>,
  ): Promise<ProfileSummary> {
    this.#done = true;
    const recording = await this.recorder.stop();
    const [queue, kernels] = [this.plan.queue, this.plan.kernels].map((range) => this.#recorded(range));
    const use = queueUse(recording);
    const text = traceText({
      rows: rowsOf(recording, use),
      counters: [...this.#memory, ...this.#lossCounters(recording.device)],
      facts: {
        adapter: this.device.describe(),
        programs: Object.fromEntries(programs.map(({ name, hash }) => [name, hash])),
        clockErrorMs: recording.clockErrorMs,
        stepsAsTheyRun: words(queue),
        stepsKernelByKernel: words(kernels),
        ...use && { busyShare: use.busyShare, queueWindowMs: use.windowMs },
        ...facts,
      },
    });
    await writeProfile(this.path, text);
    return {
      path: this.path,
      queue,
      kernels,
      use: use && { windowMs: use.windowMs, busyShare: use.busyShare, gap: use.gaps[0] },
      kernelsByTime: kernelsByTime(recording),
      launchMs: launchMs(recording),
    };
  }

  /** What has been recorded of the chosen steps: not all, when the run was stopped. */
  #recorded({ first, end }: StepRange): StepRange {
    return { first, end: Math.max(first, Math.min(end, this.#reached)) };
  }

  /** A loss counts from the end of its step on. */
  #lossCounters(device: readonly DeviceSpan[]): TraceCounter[] {
    const ends = new Map<number, number>();
    for (const { name, args, end } of device) {
      if (name !== "readback" && typeof args?.step === "number") ends.set(args.step, end);
    }
    return Array.from(ends).flatMap(([step, at]) => {
      const value = this.#losses.get(step);
      return value === undefined || !Number.isFinite(value)
        ? []
        : [{ name: "loss", process: "host", at, value }];
    });
  }
}

function rowsOf({ device, host }: Recording, use: QueueUse | undefined): TraceRow[] {
  const gaps = (use?.gaps ?? []).filter(({ start, end }) => end - start >= DRAWN_GAP_MS);
  // What other threads did before the first step of it is of no interest.
  const from = device[0]?.start ?? -Infinity;
  const seen = host.filter(({ end }) => end >= from);
  const threads = [...new Set(seen.map(({ thread }) => thread))];
  return [
    { process: "GPU", thread: "queue", spans: device.flatMap((span) => [span, ...span.kernels]) },
    {
      process: "GPU",
      thread: "idle",
      spans: gaps.map(({ start, end, between, host }) => ({
        name: `idle: ${host[0]?.name ?? "the host did nothing that was recorded"}`,
        category: "gap",
        start,
        end,
        args: {
          between: between.join(" and "),
          ...Object.fromEntries(host.map(({ name, ms }) => [`host: ${name}, ms`, ms])),
        },
      })),
    },
    ...threads.map((thread): TraceRow => ({
      process: "host",
      thread,
      spans: seen.filter((span) => span.thread === thread),
    })),
  ];
}

function launchMs({ device }: Recording): ProfileSummary["launchMs"] {
  const times = new Map<string, { ms: number; launches: number }>();
  for (const { name, start, end } of device.flatMap(({ kernels }) => kernels)) {
    const { ms, launches } = times.get(name) ?? { ms: 0, launches: 0 };
    times.set(name, { ms: ms + end - start, launches: launches + 1 });
  }
  return Object.fromEntries(Array.from(times, ([name, { ms, launches }]) => [name, ms / launches]));
}

function kernelsByTime({ device }: Recording): ProfileSummary["kernelsByTime"] {
  const times = new Map<string, number>();
  let all = 0;
  for (const { name, start, end } of device.flatMap(({ kernels }) => kernels)) {
    times.set(name, (times.get(name) ?? 0) + end - start);
    all += end - start;
  }
  return Array.from(times, ([name, ms]) => ({ name, share: all > 0 ? ms / all : 0 }))
    .sort((a, b) => b.share - a.share).slice(0, NAMED_KERNELS);
}
