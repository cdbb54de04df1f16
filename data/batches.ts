/**
 * What a run takes its tokens from, whatever they lie in: one text in memory (`dataset.ts`) or a folder of shards that is
 * larger than memory (`shards/`). Which tokens a batch holds is a pure function of seed and position, so a run that goes on from a
 * checkpoint sees exactly the batches that it would have seen.
 *
 * @module
 */

/** Tokens and, for each, the token that follows it: both [batch, context], row-major. */
export interface Batch {
  /** Token ids. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** The id that follows each token. */
  readonly targets: Int32Array<ArrayBuffer>;
}

/** Shape and order of the batches. */
export interface BatchOptions {
  /** Sequences in a batch. */
  readonly batch: number;
  /** Tokens in a sequence. */
  readonly context: number;
  /** Decides the order of the windows. */
  readonly seed: number;
}

/** Batches to train and to validate on. Methods are synchronous: a batch is due every few milliseconds. */
export interface Batches {
  /**
   * Tells these tokens from others, in one line that begins with how many there are: a run that goes on must find what it
   * began with. It does not depend on where they lie, nor on {@link BatchOptions}.
   */
  readonly identity: string;
  /** Tokens to train on. */
  readonly trainTokens: number;
  /** Tokens to validate on. */
  readonly validationTokens: number;
  /** The training batch at `position`, counted from 0 over the whole run. */
  batchAt(position: number): Batch;
  /** Batches that cover the validation tokens without overlap; at least one. */
  readonly validationBatches: number;
  /** Validation batch `index`, the same for every run; wraps around at the end. */
  validationBatch(index: number): Batch;
  /** Closes what is open. */
  close(): void;
}
