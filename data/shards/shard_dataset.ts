/**
 * Batches of a set of token files that may be larger than memory. Which tokens a batch holds is a pure function of the seed
 * and the batch's position:
 *
 * - A shard of `n` tokens has `floor((n - 1) / context)` windows of `context + 1` tokens, which start every `context`
 *   tokens. In each epoch the first of them starts at a token of its own, so that the few tokens at an end that make no
 *   window are others each time.
 * - Row `r` of the batch at `position` is window `position * batch + r` of the run. An epoch has every window of every shard
 *   once: window `w` of the run is window `w mod windows` of epoch `floor(w / windows)`.
 * - An epoch goes through the shards in an order drawn from (seed, epoch), and through a shard's windows in an order drawn
 *   from (seed, epoch, shard). So a run reads one file at a time, and a batch may lie across the ends of files and epochs.
 *
 * Both orders are keyed permutations (`permutation.ts`), so any position is found by a search among the shards' sums. A row
 * is one read of `2 * (context + 1)` bytes; few files are kept open, those that were used last.
 *
 * @module
 */
import type { Batch, Batches, BatchOptions } from "../batches.ts";
import { DataError } from "../errors.ts";
import { mix, permute } from "../permutation.ts";
import { ShardFile } from "./shard_file.ts";
import { countTokens, identifySet, readShardSet, type Shard, type ShardSet } from "./shard_set.ts";

/** Files that are open at once. */
const MAX_OPEN = 8;

/** Set apart what is drawn from one seed. */
const DRAWS = { shards: 0x2545f491, windows: 0x27d4eb2f, offset: 0x5bd1e995 };

/** Shape and order of the batches, and what the tokens are. */
export interface ShardOptions extends BatchOptions {
  /** Tokens are below this: 50,257 for GPT-2's. */
  readonly vocabulary: number;
}

/** Some files one after the other, as windows. */
interface Course {
  readonly shards: readonly Shard[];
  /** `ends[i]`: windows of the first `i + 1` of them. */
  readonly ends: Float64Array;
}

/** Where a window begins. */
interface Place {
  readonly shard: Shard;
  /** Its first token. */
  readonly start: number;
}

/** Batches of a folder of token files. */
export class ShardDataset implements Batches {
  /** Tokens to train on. */
  readonly trainTokens: number;
  /** Tokens to validate on. */
  readonly validationTokens: number;
  /** Windows of one epoch. */
  readonly windows: number;
  readonly #validation: Course;
  readonly #open = new Map<string, ShardFile>();
  #epoch?: { readonly index: number; readonly course: Course };

  private constructor(
    readonly set: ShardSet,
    /** Tells these files from others. */
    readonly identity: string,
    readonly options: ShardOptions,
  ) {
    this.trainTokens = countTokens(set.train);
    this.validationTokens = countTokens(set.validation);
    this.#validation = this.#course(set.validation);
    this.windows = total(this.#course(set.train));
    const needed = options.context + 1;
    for (
      const [windows, split] of [[this.windows, "training"], [total(this.#validation), "validation"]] as const
    ) {
      if (windows > 0) continue;
      throw new DataError(
        `shards:${set.folder}`,
        `no file for ${split} has the ${needed} tokens of a window`,
        "use longer files or a smaller --context",
      );
    }
  }

  /**
   * Opens a folder: every header is read and checked.
   *
   * @throws {DataError} when the folder or a file in it cannot be used, or is too short for a window.
   *
   * @example Not run in tests, since it takes ten billion tokens
   * ```ts ignore
   * import { ShardDataset } from "@sinter/sinter/data";
   * const options = { batch: 16, context: 1024, seed: 1337, vocabulary: 50257 };
   * using data = await ShardDataset.open("edu_fineweb10B", options);
   * const { tokens, targets } = data.batchAt(0); // both [16 x 1024]
   * ```
   */
  static async open(folder: string, options: ShardOptions): Promise<ShardDataset> {
    const set = await readShardSet(folder);
    return new ShardDataset(set, await identifySet(set), options);
  }

  /**
   * The training batch at `position`, counted from 0 over the whole run.
   *
   * @throws {DataError} when a file cannot be read any more, or holds a token past the vocabulary.
   */
  batchAt(position: number): Batch {
    return this.#batch((row) => this.#trainingPlace(position * this.options.batch + row));
  }

  #trainingPlace(index: number): Place {
    const { context, seed } = this.options;
    const epoch = Math.floor(index / this.windows);
    const { shards, ends } = this.#courseOf(epoch);
    const { at, rest, size } = find(ends, index % this.windows);
    const shard = shards[at];
    const number = this.set.train.indexOf(shard);
    const window = permute(rest, size, mix(mix(seed ^ DRAWS.windows, epoch), number));
    const slack = shard.header.count - 1 - size * context;
    return { shard, start: window * context + mix(mix(seed ^ DRAWS.offset, epoch), number) % (slack + 1) };
  }

  #courseOf(epoch: number): Course {
    if (this.#epoch?.index !== epoch) {
      const { train } = this.set;
      const key = mix(this.options.seed ^ DRAWS.shards, epoch);
      const order = train.map((_, place) => train[permute(place, train.length, key)]);
      this.#epoch = { index: epoch, course: this.#course(order) };
    }
    return this.#epoch.course;
  }

  #course(shards: readonly Shard[]): Course {
    let sum = 0;
    const ends = Float64Array.from(
      shards,
      ({ header }) => sum += Math.floor((header.count - 1) / this.options.context),
    );
    return { shards, ends };
  }

  /** Batches that cover the validation tokens without overlap; at least one. */
  get validationBatches(): number {
    return Math.max(1, Math.floor(total(this.#validation) / this.options.batch));
  }

  /**
   * Validation batch `index`, the same for every run; windows wrap around where there are few.
   *
   * @throws {DataError} as {@link batchAt}.
   */
  validationBatch(index: number): Batch {
    const { batch, context } = this.options;
    const { shards, ends } = this.#validation;
    return this.#batch((row) => {
      const { at, rest } = find(ends, (index * batch + row) % total(this.#validation));
      return { shard: shards[at], start: rest * context };
    });
  }

  #batch(placeOf: (row: number) => Place): Batch {
    const { batch, context } = this.options;
    const tokens = new Int32Array(batch * context);
    const targets = new Int32Array(batch * context);
    for (let row = 0; row < batch; row++) {
      const { shard, start } = placeOf(row);
      const window = this.#file(shard).read(start, context + 1);
      tokens.set(window.subarray(0, context), row * context);
      targets.set(window.subarray(1), row * context);
    }
    return { tokens, targets };
  }

  /** The open file of a shard, which becomes the one that was used last. */
  #file({ path, header }: Shard): ShardFile {
    const file = this.#open.get(path) ?? new ShardFile(path, header, this.options.vocabulary);
    this.#open.delete(path);
    this.#open.set(path, file);
    if (this.#open.size > MAX_OPEN) {
      const [[oldest, old]] = this.#open;
      old.close();
      this.#open.delete(oldest);
    }
    return file;
  }

  /** Files that are open now. */
  get openFiles(): number {
    return this.#open.size;
  }

  /** Closes the files. */
  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function total({ ends }: Course): number {
  return ends.at(-1) ?? 0;
}

/** Which of the consecutive ranges that end at `ends` holds `index`, the place in it, and its size. */
function find(ends: Float64Array, index: number): { at: number; rest: number; size: number } {
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle] > index) high = middle;
    else low = middle + 1;
  }
  const before = low === 0 ? 0 : ends[low - 1];
  return { at: low, rest: index - before, size: ends[low] - before };
}
