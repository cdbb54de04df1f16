/**
 * What a probe sees of a model at one step: plain data that a snapshot file holds and a page shows. Attention weights are kept as
 * one byte each, of the causal triangle only.
 *
 * Shape letters: L layers, H heads, P tokens of the prompt, K likeliest tokens.
 *
 * @module
 */

/** How strongly one head follows a pattern, from 0 to 1; NaN where the sequence is too short to tell. */
export const SCORES = ["previous", "first", "self", "same", "induction", "entropy"] as const;
/** Name of a score, see `scores.ts`. */
export type ScoreName = (typeof SCORES)[number];

/** Likeliest tokens that are kept of each position. */
export const TOP = 8;

/** What a probe saw. */
export interface Observation {
  /** Weights of each head, [L, H, P (P + 1) / 2]: row i of a head has its i + 1 weights, as {@link quantise} gives them. */
  readonly attention: Uint8Array<ArrayBuffer>;
  /** {@link SCORES} of each head, [L, H, 6]. */
  readonly scores: Float32Array<ArrayBuffer>;
  /** The K likeliest tokens after each one of the prompt, likeliest first, [P, K]. */
  readonly topTokens: Int32Array<ArrayBuffer>;
  /** Their log-probabilities, [P, K]. */
  readonly topLogprobs: Float32Array<ArrayBuffer>;
  /** Log-probability of each token of the prompt but the first, [P - 1]. */
  readonly logprobs: Float32Array<ArrayBuffer>;
  /** Mean loss in nats of the first and of the second half of a sequence that repeats itself, [2]; NaN where it is too short. */
  readonly repeatLoss: Float32Array<ArrayBuffer>;
  /** Tokens that the model added to the prompt. */
  readonly sample: Int32Array<ArrayBuffer>;
  /** Parameters that were asked for, one after the other. */
  readonly tensors: Float32Array<ArrayBuffer>;
}

/** Entries of a causal triangle of so many rows. */
export function triangle(rows: number): number {
  return rows * (rows + 1) / 2;
}

/**
 * A weight as a byte: its square root in 255ths, so that weights of a few hundredths, which most are, keep two digits. The error
 * is at most 0.004.
 */
export function quantise(weight: number): number {
  return Math.round(255 * Math.sqrt(Math.min(1, Math.max(0, weight))));
}

/** The weight that a byte of {@link quantise} stands for. */
export function weightOf(byte: number): number {
  return (byte / 255) ** 2;
}

/** The causal triangles of full maps [maps, P, P], quantised: [maps, P (P + 1) / 2]. */
export function packAttention(weights: Float32Array, size: number): Uint8Array<ArrayBuffer> {
  const maps = weights.length / size ** 2;
  const packed = new Uint8Array(maps * triangle(size));
  let at = 0;
  for (let row = 0; row < maps * size; row++) {
    const start = row * size;
    const count = row % size + 1;
    for (let column = 0; column < count; column++) packed[at++] = quantise(weights[start + column]);
  }
  return packed;
}
