/**
 * Bytes between host and device. Measured on Deno 2.9.6: one `writeBuffer` of 96 MiB runs at 2 GiB/s, pieces of 4 MiB
 * with an empty submission after each at 12; a readback costs 11 ms whatever its size, so one readback gathers many
 * ranges, and a staging buffer is used again instead of made anew.
 *
 * @module
 */
import type { GpuDevice } from "./device.ts";
import { GpuError, oneLine } from "./errors.ts";

/** Largest piece of an upload. */
const UPLOAD_BYTES = 4 * 2 ** 20;
/** Largest piece of a readback. */
const STAGING_BYTES = 64 * 2 ** 20;
/** Staging buffers that are kept for later. */
const KEPT_BUFFERS = 2;

/** Bytes of a buffer; offset and size are multiples of four, except a size that reaches the end of the values. */
export interface ReadRange {
  /** Made with COPY_SRC. */
  readonly buffer: GPUBuffer;
  /** First byte. */
  readonly offset: number;
  /** How many. */
  readonly bytes: number;
}

/** Writes `data` to `buffer` from byte `offset` on, a multiple of four. Tails are padded with zero bytes to four. */
export function upload(gpu: GPUDevice, buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let start = 0; start < bytes.length; start += UPLOAD_BYTES) {
    const piece = bytes.subarray(start, start + UPLOAD_BYTES);
    gpu.queue.writeBuffer(buffer, offset + start, plain(piece));
    if (bytes.length > UPLOAD_BYTES) gpu.queue.submit([]);
  }
}

/** Deno's writeBuffer takes neither shared memory nor a length that is not a multiple of four. */
function plain(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  const shared = typeof SharedArrayBuffer !== "undefined" && piece.buffer instanceof SharedArrayBuffer;
  if (!shared && piece.length % 4 === 0) return piece as Uint8Array<ArrayBuffer>;
  const copy = new Uint8Array(align4(piece.length));
  copy.set(piece);
  return copy;
}

function align4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

interface Piece {
  readonly range: number;
  readonly start: number;
  readonly bytes: number;
}

/** The second half of a readback: its copies have been submitted, its values have not come yet. */
export class Readback<T> {
  readonly #finish: (whenIdle: () => void) => Promise<T>;

  /**
   * Made by {@link beginDownload}.
   *
   * @param isCopied True when all copies have been submitted, so that what follows cannot change what is read. Until a
   * readback that is not copied calls its `whenIdle`, nothing may be submitted that changes what it reads.
   * @param finish Waits for the values.
   */
  constructor(readonly isCopied: boolean, finish: (whenIdle: () => void) => Promise<T>) {
    this.#finish = finish;
  }

  /**
   * Waits for the values; to be called once. Blocks the thread until everything that was submitted is done.
   *
   * @param whenIdle Called once, as soon as the queue is empty and all values have been copied. What it submits runs while
   * Deno sleeps and the values come to the host.
   * @throws {GpuError} when the device is lost or has failed.
   */
  read(whenIdle: () => void = () => {}): Promise<T> {
    return this.#finish(whenIdle);
  }

  /** The same readback, with something done with its values. */
  map<U>(use: (values: T) => U | Promise<U>): Readback<U> {
    return new Readback(this.isCopied, async (whenIdle) => await use(await this.#finish(whenIdle)));
  }
}

/**
 * Reads ranges of buffers, after everything that was submitted before. Blocks the thread until the queue is done.
 *
 * @param whenIdle See {@link Readback.read}.
 * @returns One array per range.
 * @throws {GpuError} when the device is lost or has failed.
 */
export async function download(
  device: GpuDevice,
  ranges: readonly ReadRange[],
  whenIdle?: () => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  return await beginDownload(device, ranges).read(whenIdle);
}

/** As {@link download}, in two halves. */
export function beginDownload(
  device: GpuDevice,
  ranges: readonly ReadRange[],
): Readback<Uint8Array<ArrayBuffer>[]> {
  device.throwIfFailed();
  const results = ranges.map(({ bytes }) => new Uint8Array(bytes));
  const all = batches(ranges);
  const first = all.length > 0 ? submitCopies(device, ranges, all[0]) : undefined;
  return new Readback(all.length <= 1, async (whenIdle) => {
    if (all.length === 0) whenIdle();
    for (const pieces of all) {
      const staging = pieces === all[0] ? first! : submitCopies(device, ranges, pieces);
      const waited = device.recorder?.begin("wait for the queue");
      const mapping = staging.mapAsync(GPUMapMode.READ, 0, bytesOf(pieces));
      waited?.();
      mapping.catch(() => {}); // whatever whenIdle throws, nobody looks at this promise then
      if (pieces === all.at(-1)) whenIdle();
      await fetchPieces(device, staging, mapping, pieces, results);
      device.staging.release(staging);
      device.throwIfFailed();
    }
    return results;
  });
}

/** Copies pieces, one after the other, into a staging buffer, and returns it. */
function submitCopies(device: GpuDevice, ranges: readonly ReadRange[], pieces: readonly Piece[]): GPUBuffer {
  const total = bytesOf(pieces);
  const staging = device.staging.acquire(total);
  const encoder = device.gpu.createCommandEncoder({ label: "readback" });
  const copy = () => {
    let at = 0;
    for (const { range, start, bytes } of pieces) {
      const { buffer, offset } = ranges[range];
      encoder.copyBufferToBuffer(buffer, offset + start, staging, at, align4(bytes));
      at += align4(bytes);
    }
  };
  if (device.recorder) device.recorder.encodeCopies(encoder, total, copy);
  else copy();
  const submitted = device.recorder?.begin("submit copies");
  device.gpu.queue.submit([encoder.finish()]);
  submitted?.();
  return staging;
}

/** Puts pieces that lie in a staging buffer into the arrays that they are of, once the buffer is mapped. */
async function fetchPieces(
  device: GpuDevice,
  staging: GPUBuffer,
  mapping: Promise<undefined>,
  pieces: readonly Piece[],
  results: readonly Uint8Array[],
): Promise<void> {
  try {
    const slept = device.recorder?.begin("sleep of Deno's readback");
    await mapping;
    slept?.();
    const copied = device.recorder?.begin("copy to the host");
    const mapped = new Uint8Array(staging.getMappedRange(0, bytesOf(pieces)));
    let at = 0;
    for (const { range, start, bytes } of pieces) {
      results[range].set(mapped.subarray(at, at + bytes), start);
      at += align4(bytes);
    }
    staging.unmap();
    copied?.();
  } catch (problem) {
    // The device's own report, which says more, is delivered as an event of its own.
    await new Promise((resolve) => setTimeout(resolve, 0));
    device.throwIfFailed();
    throw new GpuError("internal", `a readback failed: ${oneLine(String(problem))}`);
  }
}

function bytesOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { bytes }) => sum + align4(bytes), 0);
}

/** Cuts ranges into pieces, and pieces into batches of at most one staging buffer. */
function batches(ranges: readonly ReadRange[]): Piece[][] {
  const done: Piece[][] = [];
  let batch: Piece[] = [];
  let room = STAGING_BYTES;
  ranges.forEach(({ bytes: size }, range) => {
    for (let start = 0; start < size;) {
      if (room === 0) {
        done.push(batch);
        batch = [];
        room = STAGING_BYTES;
      }
      const bytes = Math.min(size - start, room);
      batch.push({ range, start, bytes });
      start += bytes;
      room -= align4(bytes);
    }
  });
  if (batch.length > 0) done.push(batch);
  return done;
}

/** Buffers that the host can map, used again and again. */
export class StagingPool {
  readonly #device: GpuDevice;
  readonly #free: GPUBuffer[] = [];

  /** Empty, for the device that the buffers will be made on. */
  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** A buffer of at least `bytes` bytes that nobody else uses. */
  acquire(bytes: number): GPUBuffer {
    const fitting = this.#free.findIndex((buffer) => buffer.size >= bytes);
    if (fitting >= 0) return this.#free.splice(fitting, 1)[0];
    const size = 2 ** Math.max(12, Math.ceil(Math.log2(bytes)));
    return this.#device.memory.allocate("staging", size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  /** Gives a buffer back; the largest ones are kept. */
  release(buffer: GPUBuffer): void {
    this.#free.push(buffer);
    this.#free.sort((a, b) => a.size - b.size);
    if (this.#free.length > KEPT_BUFFERS) this.#device.memory.free(this.#free.shift()!);
  }
}
