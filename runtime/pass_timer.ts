/**
 * Timestamps at the beginning and the end of compute passes, as many as a recording needs, read together when it is over.
 *
 * @module
 */
import type { GpuDevice } from "./device.ts";
import { download, type ReadRange } from "./transfer.ts";

/** Queries of a set: WebGPU's limit. A pass takes two. */
const QUERIES = 4096;
/** Bytes of a timestamp. */
const STAMP = 8;

/** Stamps of all passes of one {@link PassTimer}. */
export interface PassStamps {
  /** Ticks of the device's clock: the beginning and the end of the first pass, of the second, and so on. */
  readonly stamps: BigUint64Array;
  /** When the queue was idle, on this thread's `performance.now()`. */
  readonly idleAt: number;
}

/** Hands out places for timestamps, and reads them. The device must have timestamps. */
export class PassTimer {
  readonly #device: GpuDevice;
  readonly #sets: GPUQuerySet[] = [];
  #passes = 0;

  /** Without passes, for the device that they will run on. */
  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** Passes so far. */
  get passes(): number {
    return this.#passes;
  }

  /** Where the next pass writes its two. */
  next(): GPUComputePassTimestampWrites {
    const at = this.#passes++ * 2 % QUERIES;
    if (at === 0) this.#sets.push(this.#device.gpu.createQuerySet({ type: "timestamp", count: QUERIES }));
    return { querySet: this.#sets.at(-1)!, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /**
   * Reads the stamps of all passes, which must have been submitted. Blocks the thread until they are done.
   *
   * @throws {GpuError} when the device failed.
   */
  async read(): Promise<PassStamps> {
    const { gpu, memory } = this.#device;
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const ranges: ReadRange[] = this.#sets.map((_, i) => {
      const bytes = Math.min(QUERIES, this.#passes * 2 - i * QUERIES) * STAMP;
      return { buffer: memory.allocate("timestamps", bytes, usage), offset: 0, bytes };
    });
    const encoder = gpu.createCommandEncoder({ label: "timestamps" });
    // As many queries as were written: resolving others hangs SwiftShader.
    ranges.forEach(({ buffer, bytes }, i) =>
      encoder.resolveQuerySet(this.#sets[i], 0, bytes / STAMP, buffer, 0)
    );
    gpu.queue.submit([encoder.finish()]);
    let idleAt = 0;
    const parts = await download(this.#device, ranges, () => idleAt = performance.now());
    for (const { buffer } of ranges) memory.free(buffer);
    const stamps = new BigUint64Array(this.#passes * 2);
    parts.forEach((part, i) => stamps.set(new BigUint64Array(part.buffer), i * QUERIES));
    return { stamps, idleAt };
  }

  /** Gives the query sets back. */
  destroy(): void {
    for (const set of this.#sets) set.destroy();
  }
}
