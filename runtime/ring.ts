/**
 * Scalar outputs of many runs, kept on the device until they are read together. A readback in Deno waits for the whole
 * queue and then sleeps 10 ms, so a training loop that read its loss after every step would starve the device; it drains
 * a ring a few times a second instead.
 *
 * @module
 */
import { bytesPerElement } from "../compiler/dtype.ts";
import { sizeOf } from "../compiler/graph.ts";
import type { ProgramTensor } from "../compiler/program.ts";
import { BindingError } from "./errors.ts";
import type { LoadedProgram } from "./execute.ts";
import { beginDownload, type Readback, type ReadRange } from "./transfer.ts";
import { toTensorData } from "./values.ts";

/** How to make a ring. */
export interface RingOptions {
  /** Runs that it can hold between two drains; 256 by default. */
  readonly slots?: number;
}

/** The outputs of one run. */
export interface RingRecord {
  /** The `tag` that the run was given. */
  readonly tag: number;
  /** The outputs by name. */
  readonly values: Readonly<Record<string, number>>;
}

const USAGE = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
/** Every value gets a word of its own. */
const WORD = 4;

/** Made by `LoadedProgram.createRing`; given to that program's runs as `record`. */
export class MetricsRing {
  /** Runs that it can hold. */
  readonly slots: number;
  readonly #loaded: LoadedProgram;
  readonly #outputs: readonly ProgramTensor[];
  readonly #buffer: GPUBuffer;
  readonly #tags: number[] = [];
  #next = 0;

  /** Use `LoadedProgram.createRing`. */
  constructor(loaded: LoadedProgram, outputs: readonly ProgramTensor[], { slots = 256 }: RingOptions) {
    const { name } = loaded.program;
    for (const output of outputs) {
      if (sizeOf(output.shape) !== 1) {
        throw new BindingError(
          name,
          output.name,
          "a ring keeps single numbers; read larger outputs with read()",
        );
      }
      if (bytesPerElement(output.dtype) !== WORD) {
        throw new BindingError(name, output.name, `a ring keeps numbers of four bytes, not ${output.dtype}`);
      }
    }
    this.slots = slots;
    this.#loaded = loaded;
    this.#outputs = outputs;
    this.#buffer = loaded.device.memory.allocate(`${name}.ring`, this.#slotBytes * slots, USAGE);
  }

  /** Runs that wait to be drained. */
  get pending(): number {
    return this.#tags.length;
  }

  /** True when the next recorded run would throw. */
  get full(): boolean {
    return this.pending === this.slots;
  }

  get #slotBytes(): number {
    return this.#outputs.length * WORD;
  }

  /**
   * Checks that a run of `loaded` can be recorded; `LoadedProgram.run` asks before it does anything.
   *
   * @throws {BindingError} when the ring is full or belongs to another program.
   */
  check(loaded: LoadedProgram): void {
    const { name } = loaded.program;
    if (loaded !== this.#loaded) {
      throw new BindingError(name, "record", "this ring was made for another program");
    }
    if (this.full) {
      throw new BindingError(name, "record", `all ${this.slots} slots are full; drain() more often`);
    }
  }

  /** Copies the outputs into the next slot, as part of the run's submission. `LoadedProgram.run` calls it. */
  copyInto(encoder: GPUCommandEncoder, tag: number): void {
    this.#outputs.forEach((output, i) => {
      const { buffer, offset } = this.#loaded.rangeOf(output);
      encoder.copyBufferToBuffer(buffer, offset, this.#buffer, this.#next * this.#slotBytes + i * WORD, WORD);
    });
    this.#tags.push(tag);
    this.#next = (this.#next + 1) % this.slots;
  }

  /**
   * Reads and removes all records, oldest first. Blocks the thread until all runs are done; none are pending: no wait.
   *
   * @throws {GpuError} when the device failed.
   */
  async drain(): Promise<RingRecord[]> {
    return await this.beginDrain().read();
  }

  /** As {@link drain}, in two halves; runs that follow the first one may be recorded in the ring. */
  beginDrain(): Readback<RingRecord[]> {
    const tags = this.#tags.splice(0);
    const first = (this.#next - tags.length + this.slots) % this.slots;
    const untilEnd = Math.min(tags.length, this.slots - first);
    const span = (slot: number, count: number): ReadRange => ({
      buffer: this.#buffer,
      offset: slot * this.#slotBytes,
      bytes: count * this.#slotBytes,
    });
    const readback = beginDownload(this.#loaded.device, [
      span(first, untilEnd),
      span(0, tags.length - untilEnd),
    ]);
    return readback.map((parts) => this.#decode(tags, parts));
  }

  #decode(tags: readonly number[], parts: readonly Uint8Array<ArrayBuffer>[]): RingRecord[] {
    const records: RingRecord[] = [];
    for (const part of parts) {
      for (let at = 0; at < part.length; at += this.#slotBytes) {
        const values = this.#outputs.map(({ name, dtype }, i) => {
          const word = part.slice(at + i * WORD, at + (i + 1) * WORD);
          return [name, toTensorData(word, dtype)[0]] as const;
        });
        records.push({ tag: tags[records.length], values: Object.fromEntries(values) });
      }
    }
    return records;
  }

  /** Frees the ring's memory. */
  destroy(): void {
    this.#loaded.device.memory.free(this.#buffer);
  }
}
