/**
 * Tokens in batches. Which tokens a batch holds is a pure function of the seed and the batch's position, so a run that
 * goes on from a checkpoint sees exactly the batches that it would have seen.
 *
 * The text is split 90 to 10 into training and validation. Training windows are `context + 1` tokens long and start every
 * `context` tokens; each epoch visits all of them once, in an order and from a first token of its own.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Batch, Batches, BatchOptions } from "./batches.ts";
import { DataError } from "./errors.ts";
import { mix, permute } from "./permutation.ts";

/** Share of the text that is kept for validation. */
const VALIDATION_SHARE = 0.1;

/** Batches of one text. */
export class Dataset implements Batches {
  /** Tokens to train on. */
  readonly train: Uint16Array;
  /** Tokens to validate on. */
  readonly validation: Uint16Array;
  #identity?: string;

  /**
   * Splits tokens into training and validation.
   *
   * @param source Name of the data, for messages.
   * @param tokens All of them, in the order of the text.
   * @throws {DataError} when the text is too short for one window of training and one of validation.
   */
  constructor(source: string, tokens: Uint16Array, readonly options: BatchOptions) {
    const cut = Math.floor(tokens.length * (1 - VALIDATION_SHARE));
    this.train = tokens.subarray(0, cut);
    this.validation = tokens.subarray(cut);
    const needed = options.context + 1;
    const shorter = Math.min(this.train.length, this.validation.length);
    if (shorter < needed) {
      throw new DataError(
        source,
        `has ${tokens.length} tokens, of which ${this.validation.length} are for validation: a context of ` +
          `${options.context} needs ${needed} in each part`,
        "use a longer text or a smaller --context",
      );
    }
  }

  /** Tokens to train on. */
  get trainTokens(): number {
    return this.train.length;
  }

  /** Tokens to validate on. */
  get validationTokens(): number {
    return this.validation.length;
  }

  /** Tells this text, as it was tokenized, from others. */
  get identity(): string {
    return this.#identity ??= this.#hash();
  }

  #hash(): string {
    const hash = createHash("sha256");
    for (const { buffer, byteOffset, byteLength } of [this.train, this.validation]) {
      hash.update(new Uint8Array(buffer, byteOffset, byteLength));
    }
    return `${this.train.length + this.validation.length} tokens, sha256 ${hash.digest("hex")}`;
  }

  /** Windows of one epoch. */
  get windows(): number {
    return Math.floor((this.train.length - 1) / this.options.context);
  }

  /** The training batch at `position`, counted from 0 over the whole run. */
  batchAt(position: number): Batch {
    const { batch, context, seed } = this.options;
    const { windows } = this;
    const slack = this.train.length - 1 - windows * context;
    return this.#batch(this.train, (row) => {
      const index = position * batch + row;
      const epoch = Math.floor(index / windows);
      const window = permute(index % windows, windows, mix(seed, epoch));
      return window * context + mix(seed ^ 0x5bd1e995, epoch) % (slack + 1);
    });
  }

  /** Batches that cover the validation tokens without overlap; at least one. */
  get validationBatches(): number {
    const { batch, context } = this.options;
    return Math.max(1, Math.floor(Math.floor((this.validation.length - 1) / context) / batch));
  }

  /** Validation batch `index`, the same for every run; windows wrap around where the text is short. */
  validationBatch(index: number): Batch {
    const { batch, context } = this.options;
    const windows = Math.floor((this.validation.length - 1) / context);
    return this.#batch(this.validation, (row) => (index * batch + row) % windows * context);
  }

  /** Nothing is open. */
  close(): void {}

  #batch(from: Uint16Array, startOf: (row: number) => number): Batch {
    const { batch, context } = this.options;
    const tokens = new Int32Array(batch * context);
    const targets = new Int32Array(batch * context);
    for (let row = 0; row < batch; row++) {
      const start = startOf(row);
      tokens.set(from.subarray(start, start + context), row * context);
      targets.set(from.subarray(start + 1, start + 1 + context), row * context);
    }
    return { tokens, targets };
  }
}
