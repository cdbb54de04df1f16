/**
 * Choosing the next token on the device: temperature, top-k and the Gumbel-max draw as tensor code. Nothing is read
 * back between tokens; the host reads finished tokens several at a time.
 *
 * @module
 */
import { constant, iota, randomUniform, type Tensor, where } from "../compiler/mod.ts";

/** How a token is drawn; all scalars of the program. */
export interface SamplingScalars {
  /** f32; 0 takes the likeliest token. */
  readonly temperature: Tensor;
  /** f32; only the `topK` likeliest tokens can be drawn. The vocabulary's size draws from all. */
  readonly topK: Tensor;
  /** u32; another one for each position. */
  readonly key: Tensor;
}

/** A score below every logit. */
const NEVER = -3e38;

/** Smallest uniform number given to the Gumbel transform, which is infinite at 0. */
const TINY = 2 ** -25;

/** Candidate thresholds of one round of {@link kthLargest}, and rounds: together 2^30 steps, finer than f32. */
const CANDIDATES = 64;
const ROUNDS = 5;

/**
 * Draws one token (an i32 scalar) from logits [V]: the argmax of logits plus Gumbel noise is distributed as the
 * softmax (Gumbel 1954; Maddison et al. 2014). Scaling the noise by the temperature is the same as dividing the logits
 * by it, and needs no special case at 0.
 */
export function sampleToken(logits: Tensor, { temperature, topK, key }: SamplingScalars): Tensor {
  const uniform = randomUniform(key, logits.shape, 0).maximum(TINY);
  const gumbel = uniform.log().neg().log().neg();
  const noisy = logits.add(gumbel.mul(temperature));
  return where(logits.ge(kthLargest(logits, topK)), noisy, NEVER).argmax(0);
}

/**
 * The k-th largest of `values` [V], to f32's resolution. Sorting a vocabulary is slow on a GPU; each round counts the
 * values above 64 candidates at once and keeps the interval in which the answer lies.
 */
function kthLargest(values: Tensor, k: Tensor): Tensor {
  const [V] = values.shape;
  let low = values.neg().max([0]).neg();
  let width = values.max([0]).sub(low);
  const fractions = iota([CANDIDATES], 0).cast("f32").mul(1 / CANDIDATES);
  for (let round = 0; round < ROUNDS; round++) {
    const candidates = low.add(width.mul(fractions)); // [64], ascending
    const above = values.reshape([1, V]).ge(candidates.reshape([CANDIDATES, 1])); // [64, V]
    const enough = count(above, 1).ge(k); // [64]: true, …, true, false, …
    const passed = count(enough, 0).sub(1).maximum(0);
    low = low.add(width.mul(passed).mul(1 / CANDIDATES));
    width = width.mul(1 / CANDIDATES);
  }
  return low;
}

/** Number of true values along an axis, as f32. */
function count(condition: Tensor, axis: number): Tensor {
  return where(condition, constant(1, "f32"), constant(0, "f32")).sum([axis]);
}

/** A copy of `tokens` [N] (i32) with `token` at `position` (both i32 scalars). */
export function placeToken(tokens: Tensor, position: Tensor, token: Tensor): Tensor {
  return where(iota(tokens.shape, 0).eq(position), token, tokens);
}
