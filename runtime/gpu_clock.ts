/**
 * The device's clock beside the host's. Timestamp queries count ticks since some moment of the device's own; a lone one on
 * an idle queue is taken between two looks at the host's clock, which says when that was and how exactly that is known.
 *
 * @module
 */
import type { GpuDevice } from "./device.ts";
import { PassTimer } from "./pass_timer.ts";

/** One moment on both clocks. */
export interface ClockReading {
  /** Ticks of the device. */
  readonly device: bigint;
  /** The same on this thread's `performance.now()`. */
  readonly host: number;
  /** The host's time is right to within this many milliseconds. */
  readonly errorMs: number;
}

/** The best of so many readings is taken; each takes some 11 ms. */
const ROUNDS = 5;
/** Milliseconds of a tick where the device counts nanoseconds. */
const NANOSECOND = 1e-6;
/** Devices whose ticks differ by less than this share from nanoseconds count nanoseconds. */
const TOLERANCE = 0.01;

/** Reads both clocks. Waits until the device is idle, and blocks the thread for some milliseconds. */
export async function readClocks(device: GpuDevice): Promise<ClockReading> {
  await device.idle();
  let best: ClockReading | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const reading = await readOnce(device);
    if (!best || reading.errorMs < best.errorMs) best = reading;
  }
  return best!;
}

async function readOnce(device: GpuDevice): Promise<ClockReading> {
  const timer = new PassTimer(device);
  const encoder = device.gpu.createCommandEncoder({ label: "clock" });
  encoder.beginComputePass({ timestampWrites: timer.next() }).end();
  const commands = encoder.finish();
  const before = performance.now();
  device.gpu.queue.submit([commands]);
  const { idleAt, stamps: [begin, end] } = await timer.read();
  timer.destroy();
  return { device: (begin + end) / 2n, host: (before + idleAt) / 2, errorMs: (idleAt - before) / 2 };
}

/** Turns ticks of the device into time of the host, after a reading before and one after what is measured. */
export class ClockMap {
  /** Milliseconds of a tick. */
  readonly tickMs: number;
  /** Times are right to within this many milliseconds. */
  readonly errorMs: number;
  readonly #anchor: ClockReading;

  /** @param first Taken before `last`. */
  constructor(first: ClockReading, last: ClockReading) {
    const ticks = Number(last.device - first.device);
    const measured = ticks > 0 ? (last.host - first.host) / ticks : NANOSECOND;
    this.tickMs = Math.abs(measured / NANOSECOND - 1) < TOLERANCE ? NANOSECOND : measured;
    this.#anchor = first.errorMs <= last.errorMs ? first : last;
    const other = this.#anchor === first ? last : first;
    // Clocks of one machine drift apart by some parts in a million, which the two readings show as well.
    const drift = Math.abs(this.toHost(other.device) - other.host);
    this.errorMs = Math.max(first.errorMs, last.errorMs, drift);
  }

  /** On this thread's `performance.now()`. */
  toHost(ticks: bigint): number {
    return this.#anchor.host + Number(ticks - this.#anchor.device) * this.tickMs;
  }
}
