/**
 * Values between the kernels of a program: reads whatever lies at a place in its buffers, in float64, and writes a pattern
 * there that no kernel would store.
 *
 * @module
 */
import type { Place } from "../compiler/isolate.ts";
import type { LoadedProgram } from "./execute.ts";
import { download, upload } from "./transfer.ts";
import { toTensorData } from "./values.ts";

/** Bytes of intermediate values that are gathered on the device for one readback. */
const GATHERED_BYTES = 64 * 2 ** 20;

/**
 * Gathers values while a program runs on, and reads them together: a readback costs 11 ms whatever it brings.
 */
export class Gathering implements Disposable {
  readonly #loaded: LoadedProgram;
  readonly #places: Place[] = [];
  #buffer?: GPUBuffer;
  #used = 0;

  /** Empty. */
  constructor(loaded: LoadedProgram) {
    this.#loaded = loaded;
  }

  /** True when places of so many bytes can be added before everything is read. */
  hasRoomFor(places: readonly Place[]): boolean {
    return this.#used + bytesOf(places) <= GATHERED_BYTES;
  }

  /** Takes the values as they are after everything that was queued. There must be room for them. */
  add(places: readonly Place[]): void {
    if (places.length === 0) return;
    const { device, program } = this.#loaded;
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#buffer ??= device.memory.allocate(`${program.name}.gathered`, GATHERED_BYTES, usage);
    const encoder = device.gpu.createCommandEncoder({ label: "gather" });
    for (const { buffer, offset, bytes } of places) {
      const from = this.#loaded.rangeIn({ buffer, offset, size: bytes });
      encoder.copyBufferToBuffer(from.buffer, from.offset, this.#buffer, this.#used, bytes);
      this.#used += bytes;
    }
    device.gpu.queue.submit([encoder.finish()]);
    this.#places.push(...places);
  }

  /** Reads all values, in the order in which they were added, and begins anew. */
  async read(): Promise<Float64Array[]> {
    if (this.#places.length === 0) return [];
    const [all] = await download(this.#loaded.device, [{
      buffer: this.#buffer!,
      offset: 0,
      bytes: this.#used,
    }]);
    let at = 0;
    const values = this.#places.map((place) => valuesAt(place, all.slice(at, at += place.bytes)));
    this.#places.length = 0;
    this.#used = 0;
    return values;
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    if (this.#buffer) this.#loaded.device.memory.free(this.#buffer);
    this.#buffer = undefined;
  }
}

function bytesOf(places: readonly Place[]): number {
  return places.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Reads the values at some places as they are after everything that was queued, for the price of one readback. */
export async function readPlaces(loaded: LoadedProgram, places: readonly Place[]): Promise<Float64Array[]> {
  const ranges = places.map(({ buffer, offset, bytes }) => loaded.rangeIn({ buffer, offset, size: bytes }));
  const bytes = await download(loaded.device, ranges);
  return places.map((place, i) => valuesAt(place, bytes[i]));
}

function valuesAt({ dtype, at, elements }: Place, bytes: Uint8Array<ArrayBuffer>): Float64Array {
  const stored = toTensorData(bytes, dtype);
  if (!at) return new Float64Array(stored.subarray(0, elements));
  const values = new Float64Array(elements);
  for (let p = 0; p < elements; p++) values[p] = stored[at[p]];
  return values;
}

/**
 * Fills a place with bits that mean "not a number", so that an element that a kernel forgets to store is noticed. Places
 * whose elements do not lie side by side are left as they are.
 *
 * @returns False when it was left.
 */
export function poison(loaded: LoadedProgram, { buffer, offset, bytes, at }: Place): boolean {
  if (at) return false;
  const { buffer: target } = loaded.rangeIn({ buffer, offset, size: bytes });
  upload(loaded.device.gpu, target, offset, new Uint8Array(bytes).fill(0xff));
  return true;
}
