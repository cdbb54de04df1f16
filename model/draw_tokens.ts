/**
 * The likeliest token of each row of logits, and how likely it was.
 *
 * @module
 */
import { iota, type Tensor } from "../compiler/mod.ts";

/** Columns that can be drawn. */
export interface DrawSizes {
  readonly vocabulary: number;
  /** Alternatives of each row. */
  readonly top?: number;
}

const NEVER = -1e30;

/** The likeliest token i32 [S] of each row of logits [S, V]. */
export function sampleTokens(logits: Tensor, { vocabulary }: DrawSizes & Record<string, unknown>): Tensor {
  return logits.where(iota(logits.shape, 1).lt(vocabulary), NEVER).argmax(1);
}

/** Log-probabilities of `token` [S], and of the likeliest tokens [S, top]. */
export function logprobsOf(logits: Tensor, token: Tensor, { vocabulary, top = 1 }: DrawSizes) {
  const [S, V] = logits.shape;
  const all = logits.where(iota(logits.shape, 1).lt(vocabulary), NEVER).logSoftmax();
  const own = all.where(iota([S, V], 1).eq(token.reshape([S, 1])), 0).sum([1]);
  const wide = (column: Tensor) => column.reshape([S, 1]).broadcastTo([S, top]);
  return { own, topTokens: wide(token), topLogprobs: wide(own) };
}
