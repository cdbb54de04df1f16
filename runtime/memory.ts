/**
 * Every buffer of a device is made and freed here, and counted. Drivers commit memory when it is first touched, so a
 * software adapter never reports that memory is short: the operating system ends the process instead. The count is what
 * can refuse in time.
 *
 * @module
 */
import { LimitError } from "../compiler/errors.ts";

/** Buffers end at a multiple of this, so that copies of whole elements, in multiples of four bytes, stay inside. */
const GRANULE = 16;

/** The buffers of one device. */
export class DeviceMemory {
  readonly #gpu: GPUDevice;
  readonly #sizes = new Map<GPUBuffer, number>();
  #allocated = 0;
  #peak = 0;

  /**
   * Starts at nothing.
   *
   * @param gpu The device that all buffers are made on.
   * @param maxBufferBytes The device's own limit for one buffer.
   * @param budgetBytes What all buffers together may take; `Infinity` for no limit.
   */
  constructor(gpu: GPUDevice, readonly maxBufferBytes: number, readonly budgetBytes: number) {
    this.#gpu = gpu;
  }

  /** Bytes of all buffers that are alive. */
  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** The most bytes that were ever alive together. */
  get peakBytes(): number {
    return this.#peak;
  }

  /** Labels of all buffers that are alive: errors of the device quote them. */
  labels(): Set<string> {
    return new Set(Array.from(this.#sizes.keys(), (buffer) => buffer.label));
  }

  /**
   * Makes a zeroed buffer of at least `bytes` bytes.
   *
   * @throws {LimitError} when it is larger than the device allows or than what is left of the budget.
   */
  allocate(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(GRANULE, Math.ceil(bytes / GRANULE) * GRANULE);
    if (size > this.maxBufferBytes) {
      throw new LimitError(`buffer ${label}`, "maxBufferBytes", bytes, this.maxBufferBytes);
    }
    const left = this.budgetBytes - this.#allocated;
    if (size > left) {
      throw new LimitError(
        `buffer ${label}`,
        `memory left of the budget of ${this.budgetBytes}`,
        bytes,
        left,
      );
    }
    const buffer = this.#gpu.createBuffer({ label, size, usage });
    this.#sizes.set(buffer, size);
    this.#allocated += size;
    this.#peak = Math.max(this.#peak, this.#allocated);
    return buffer;
  }

  /** Destroys a buffer. Freeing twice does nothing. */
  free(buffer: GPUBuffer): void {
    const size = this.#sizes.get(buffer);
    if (size === undefined) return;
    this.#sizes.delete(buffer);
    this.#allocated -= size;
    buffer.destroy();
  }

  /** Destroys every buffer. */
  freeAll(): void {
    for (const buffer of [...this.#sizes.keys()]) this.free(buffer);
  }
}
