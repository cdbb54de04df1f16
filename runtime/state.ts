/**
 * Values that stay on the device between runs: parameters, gradients, moments, a cache of keys and values. They are
 * known by name, and every program that is loaded with the same store works on the same buffers.
 *
 * @module
 */
import type { GpuDevice } from "./device.ts";
import { BindingError } from "./errors.ts";
import { beginDownload, type Readback, upload } from "./transfer.ts";

const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/**
 * Named buffers of a device.
 *
 * @example
 * ```ts
 * import { openDevice } from "@sinter/sinter/runtime";
 * import { assertEquals } from "@std/assert";
 * const device = await openDevice();
 * const states = device.createStates();
 * states.ensure("w", 16);
 * states.write("w", 0, Float32Array.of(1, 2, 3, 4));
 * assertEquals(new Float32Array((await states.read("w")).buffer), Float32Array.of(1, 2, 3, 4));
 * device.destroy();
 * ```
 */
export class StateStore {
  readonly #device: GpuDevice;
  readonly #states = new Map<string, { readonly buffer: GPUBuffer; readonly bytes: number }>();

  /** Empty, for the device that the buffers will be made on. */
  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** Names in the order in which they came. */
  get names(): string[] {
    return [...this.#states.keys()];
  }

  /** Bytes of all states. */
  get bytes(): number {
    return [...this.#states.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * The buffer of a state, made and zeroed at the first call.
   *
   * @param bytes Its size; sizes that agree when rounded up to 16 bytes are the same.
   * @throws {BindingError} when the state is there with another size.
   * @throws {LimitError} when there is no room for it.
   */
  ensure(name: string, bytes: number): GPUBuffer {
    const size = Math.ceil(bytes / 16) * 16;
    const known = this.#states.get(name);
    if (known && known.bytes === size) return known.buffer;
    if (known) throw new BindingError("states", name, `has ${known.bytes} bytes, but ${size} are asked for`);
    const buffer = this.#device.memory.allocate(name, size, USAGE);
    this.#states.set(name, { buffer, bytes: size });
    return buffer;
  }

  /** True when the state is there. */
  has(name: string): boolean {
    return this.#states.has(name);
  }

  /**
   * Writes values into a state, for the runs that follow.
   *
   * @param byteOffset Where they go, a multiple of four.
   * @throws {BindingError} when there is no such state or they do not fit.
   */
  write(name: string, byteOffset: number, data: ArrayBufferView): void {
    this.#device.throwIfFailed();
    upload(this.#device.gpu, this.#range(name, byteOffset, data.byteLength), byteOffset, data);
  }

  /**
   * Reads bytes of a state, after all runs so far. Blocks the thread until they are done.
   *
   * @param bytes Left out: up to the end.
   * @throws {BindingError} when there is no such state or range.
   * @throws {GpuError} when the device failed.
   */
  async read(name: string, byteOffset = 0, bytes?: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.beginRead(name, byteOffset, bytes).read();
  }

  /** As {@link read}, in two halves. */
  beginRead(name: string, byteOffset = 0, bytes?: number): Readback<Uint8Array<ArrayBuffer>> {
    const size = bytes ?? this.#get(name).bytes - byteOffset;
    const buffer = this.#range(name, byteOffset, size);
    const readback = beginDownload(this.#device, [{ buffer, offset: byteOffset, bytes: size }]);
    return readback.map(([result]) => result);
  }

  /**
   * Reads whole states as they are after all runs so far, for the price of one; in two halves.
   *
   * @throws {BindingError} when there is no such state.
   * @throws {GpuError} when the device failed.
   */
  beginReadAll(names: readonly string[]): Readback<Map<string, Uint8Array<ArrayBuffer>>> {
    const readback = beginDownload(this.#device, names.map((name) => ({ ...this.#get(name), offset: 0 })));
    return readback.map((values) => new Map(names.map((name, i) => [name, values[i]])));
  }

  /** Sets a state, or all of them, to zero bytes. */
  clear(name?: string): void {
    this.#device.throwIfFailed();
    const encoder = this.#device.gpu.createCommandEncoder({ label: "clear states" });
    for (const each of name === undefined ? this.names : [name]) encoder.clearBuffer(this.#get(each).buffer);
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  /** Frees all states. Programs that use them must not run afterwards. */
  destroy(): void {
    for (const { buffer } of this.#states.values()) this.#device.memory.free(buffer);
    this.#states.clear();
  }

  #get(name: string): { readonly buffer: GPUBuffer; readonly bytes: number } {
    const state = this.#states.get(name);
    if (state) return state;
    throw new BindingError(
      "states",
      name,
      `there is no such state (there are: ${this.names.join(", ") || "none"})`,
    );
  }

  #range(name: string, offset: number, size: number): GPUBuffer {
    const { buffer, bytes } = this.#get(name);
    if (offset < 0 || size < 0 || offset + size > bytes) {
      throw new BindingError(
        "states",
        name,
        `bytes ${offset} to ${offset + size} are outside its ${bytes} bytes`,
      );
    }
    if (offset % 4 !== 0) throw new BindingError("states", name, `byte offset ${offset} is no multiple of 4`);
    return buffer;
  }
}
