/**
 * Takes down what a device and the host's threads do, for a trace. While one is at work, programs that run and readbacks
 * ask it to encode their passes: in one pass as always with a timestamp at either end (`queue`), which shows the gaps
 * between submissions as they are, or with a pass and two timestamps for every dispatch (`kernels`), which costs some
 * microseconds each. The results are the same to the bit.
 *
 * @module
 */
import type { Program } from "../compiler/program.ts";
import type { GpuDevice } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { encodePass, type Launch, type LoadedProgram } from "./execute.ts";
import { ClockMap, type ClockReading, readClocks } from "./gpu_clock.ts";
import { PassTimer } from "./pass_timer.ts";
import type { TraceArgs, TraceSpan } from "./trace_events.ts";

/** What is taken down: nothing, submissions, or every dispatch. */
export type RecorderMode = "off" | "queue" | "kernels";

/** Something that the device did. */
export interface DeviceSpan extends TraceSpan {
  /** How it was timed. */
  readonly mode: Exclude<RecorderMode, "off">;
  /** The dispatches of a submission that was timed kernel by kernel. */
  readonly kernels: readonly TraceSpan[];
}

/** Something that a thread of the host did. */
export interface HostSpan extends TraceSpan {
  /** Name of the row that it is drawn on. */
  readonly thread: string;
}

/** What a {@link Recorder} has taken down, on the clock of its thread's `performance.now()`. */
export interface Recording {
  /** In the order of the queue; none overlaps another. */
  readonly device: readonly DeviceSpan[];
  /** In the order in which they ended. */
  readonly host: readonly HostSpan[];
  /** Milliseconds by which the device's times may be shifted against the host's. */
  readonly clockErrorMs: number;
}

/** The row of the thread that owns the device. */
export const DEVICE_THREAD = "trainer Worker";

/** Passes that were encoded together, until their stamps are read. */
interface Encoded {
  readonly name: string;
  readonly mode: Exclude<RecorderMode, "off">;
  readonly args: TraceArgs;
  /** Index of the first pass. */
  readonly first: number;
  /** Number of passes. */
  readonly passes: number;
  /** Whose dispatches the passes are, one each. */
  readonly program?: Program;
}

/** Attached to a device by {@link Recorder.start}, taken off by {@link stop}. */
export class Recorder {
  /** What is taken down from now on. */
  mode: RecorderMode = "off";
  /** Facts that are put beside everything that the device does from now on, such as the step. */
  args: TraceArgs = {};
  readonly #device: GpuDevice;
  readonly #started: ClockReading;
  readonly #timer: PassTimer;
  readonly #encoded: Encoded[] = [];
  readonly #host: HostSpan[] = [];

  private constructor(device: GpuDevice, started: ClockReading) {
    this.#device = device;
    this.#started = started;
    this.#timer = new PassTimer(device);
  }

  /**
   * Compares the clocks, which waits until the device is idle, and attaches a recorder whose mode is `off`.
   *
   * @throws {DeviceError} when the device has no timestamps.
   */
  static async start(device: GpuDevice): Promise<Recorder> {
    if (!device.info.timestamps) {
      throw new DeviceError(`${device.info.description} has no timestamps`, "profile on another adapter");
    }
    return device.recorder = new Recorder(device, await readClocks(device));
  }

  /** Encodes a program's dispatches as the mode asks. `LoadedProgram.run` calls it. */
  encodeRun(encoder: GPUCommandEncoder, { program, launches }: LoadedProgram): void {
    if (this.mode === "off") return encodePass(encoder, program.name, launches);
    const passes: (readonly Launch[])[] = this.mode === "queue" ? [launches] : launches.map((one) => [one]);
    this.#encoded.push({
      name: program.name,
      mode: this.mode,
      args: { ...this.args, dispatches: launches.length, program: program.hash },
      first: this.#timer.passes,
      passes: passes.length,
      program: this.mode === "kernels" ? program : undefined,
    });
    for (const some of passes) encodePass(encoder, program.name, some, this.#timer.next());
  }

  /** Encodes copies between two passes without dispatches, since only passes have timestamps. Readbacks call it. */
  encodeCopies(encoder: GPUCommandEncoder, bytes: number, copies: () => void): void {
    if (this.mode === "off") return copies();
    const args = { ...this.args, bytes };
    this.#encoded.push({ name: "readback", mode: this.mode, args, first: this.#timer.passes, passes: 2 });
    encodePass(encoder, "readback", [], this.#timer.next());
    copies();
    encodePass(encoder, "readback", [], this.#timer.next());
  }

  /**
   * Begins a span of a thread of the host, and returns the function that ends it; nothing while the mode is `off`.
   *
   * @param thread Row to draw it on; spans of one row must lie inside each other or apart.
   */
  begin(name: string, args: TraceArgs = {}, thread: string = DEVICE_THREAD): (() => void) | undefined {
    if (this.mode === "off") return undefined;
    const start = performance.now();
    const all = { ...this.args, ...args };
    return () =>
      this.#host.push({ name, category: "host", start, end: performance.now(), args: all, thread });
  }

  /** Takes down what another thread did; its times are in milliseconds since 1970. */
  add(span: HostSpan): void {
    const { timeOrigin } = performance;
    this.#host.push({ ...span, start: span.start - timeOrigin, end: span.end - timeOrigin });
  }

  /**
   * Takes the recorder off its device and reads all timestamps. Blocks the thread until the device is done.
   *
   * @throws {GpuError} when the device failed.
   */
  async stop(): Promise<Recording> {
    this.mode = "off";
    this.#device.recorder = undefined;
    const { stamps } = await this.#timer.read();
    this.#timer.destroy();
    const clock = new ClockMap(this.#started, await readClocks(this.#device));
    let last = -Infinity;
    const device = this.#encoded.map(({ name, mode, args, first, passes, program }): DeviceSpan => {
      // A GPU may begin a pass before the one before it is over: what overlaps is counted for the earlier one.
      const times = Array.from(stamps.subarray(first * 2, (first + passes) * 2), (ticks) => {
        return last = Math.max(last, clock.toHost(ticks));
      });
      const kernels = program
        ? program.dispatches.map((_, i) => kernelSpan(program, i, times[i * 2], times[i * 2 + 1]))
        : [];
      const [start, end] = [times[0], times.at(-1)!];
      return { name, mode, category: mode, start, end, args: { ...args, timed: HOW[mode] }, kernels };
    });
    return { device, host: this.#host, clockErrorMs: clock.errorMs };
  }
}

const HOW = { queue: "one pass, as always", kernels: "kernel by kernel" } as const;

/** Without what would differ from kernel to kernel only by its name: a title such as `sum+mul+sub   row p<256`. */
function titleOf(ir: string): string {
  return /^kernel (.*)$/m.exec(ir)?.[1] ?? "";
}

function kernelSpan({ kernels, dispatches }: Program, index: number, start: number, end: number): TraceSpan {
  const { kernel, group, bytes, flops, workgroups } = dispatches[index];
  const { name, ir, template } = kernels[kernel];
  const seconds = (end - start) / 1000;
  const rate = (count: number) => seconds > 0 ? Number((count / seconds / 1e9).toPrecision(4)) : 0;
  const args: Record<string, string | number> = {
    title: titleOf(ir),
    group,
    workgroups: workgroups.join(" x "),
    bytes,
    flops,
    "GB/s": rate(bytes),
    "GFLOP/s": rate(flops),
  };
  if (template) args.schedule = template.scheduleName;
  return { name, category: "kernel", start, end, args };
}
