/**
 * Choosing the next tokens on the device, one for each row of logits: repetition penalty, temperature, top-k, top-p, min-p
 * and the Gumbel-max draw as tensor code. Nothing is read back between tokens; the host reads finished tokens several at a
 * time. Each row goes its own way: what it draws depends on no other row and on no row count.
 *
 * Shape letters: S rows, V tokens.
 *
 * @module
 */
import { iota, randomUniform, type Tensor, where } from "../compiler/mod.ts";

/** How the tokens are drawn. Every tensor has a number for each row, [S]; what is left out changes nothing. */
export interface SamplingTensors {
  /** Columns from this one on are padding. */
  readonly vocabulary: number;
  /** u32; another one for each token of a text. */
  readonly key: Tensor;
  /** f32; 0 takes the likeliest token. */
  readonly temperature: Tensor;
  /** f32; only so many of the likeliest tokens can be drawn, and those that are just as likely as the last of them. */
  readonly topK?: Tensor;
  /** f32; only the likeliest tokens that have this much of the probability together, of what top-k has left. */
  readonly topP?: Tensor;
  /** f32; only tokens that are at least this part of the likeliest one's probability. */
  readonly minP?: Tensor;
  /** Makes tokens less likely that the text has already (Keskar et al. 2019, arXiv:1909.05858). */
  readonly penalty?: {
    /** i32 [S, V]: 1 for tokens that the text has. */
    readonly seen: Tensor;
    /** f32; divides their scores, or multiplies negative ones. */
    readonly factor: Tensor;
  };
}

/** A score below every logit. */
const NEVER = -3e38;

/** Smallest uniform number given to the Gumbel transform, which is infinite at 0. */
const TINY = 2 ** -25;

/** A temperature that tells probabilities apart as well as 0 would, and that numbers can be divided by. */
const COLD = 1e-5;

/**
 * Scores further below the highest than this many temperatures are never drawn: from uniform numbers of 24 bits Gumbel
 * noise lies between -2.9 and 16.7. Searching down to there only keeps the steps fine when some score is, say, -1e30.
 */
const REACH = 32;

/**
 * A search looks at this many equal parts of an interval in a round, for so many rounds: together 2^27 steps, finer than
 * f32. More parts and fewer rounds compare more, fewer parts and more rounds launch more kernels.
 */
const PARTS = 8;
const ROUNDS = 9;

/** Columns of a block: rows of a vocabulary are too long for one invocation. */
const BLOCK = 2048;

/**
 * Draws a token (i32 [S]) from each row of logits [S, V]: the argmax of logits plus Gumbel noise is distributed as the
 * softmax (Gumbel 1954; Maddison et al. 2014). Scaling the noise by the temperature is the same as dividing the logits
 * by it, and needs no special case at 0.
 */
export function sampleTokens(logits: Tensor, sampling: SamplingTensors): Tensor {
  const { vocabulary, key, temperature, penalty } = sampling;
  const [S, V] = logits.shape;
  let scores = maskPadding(logits, vocabulary);
  if (penalty) {
    const factor = penalty.factor.reshape([S, 1]);
    const penalised = where(scores.gt(0), scores.div(factor), scores.mul(factor));
    scores = where(penalty.seen.gt(0), penalised, scores);
  }
  const uniform = randomUniform(key, [S, V], 0).maximum(TINY);
  const gumbel = uniform.log().neg().log().neg();
  const noisy = scores.add(gumbel.mul(temperature.reshape([S, 1])));
  const least = threshold(scores, sampling);
  const allowed = least ? where(scores.ge(least.reshape([S, 1])), noisy, NEVER) : noisy;
  return largest(maskPadding(allowed, vocabulary));
}

/** Draws one token (an i32 scalar) from logits [V]; all else are scalars. */
export function sampleToken(
  logits: Tensor,
  { temperature, topK, key }: Readonly<Record<"temperature" | "topK" | "key", Tensor>>,
): Tensor {
  const [vocabulary] = logits.shape;
  const [row, ...numbers] = [logits, temperature, topK, key].map((tensor) =>
    tensor.reshape([1, ...tensor.shape])
  );
  const [temperatures, topKs, keys] = numbers;
  return sampleTokens(row, { vocabulary, temperature: temperatures, topK: topKs, key: keys }).reshape([]);
}

/** Log-probabilities under the model itself: of the tokens `token` (i32 [S]), and of the `top` likeliest ones. */
export function logprobsOf(
  logits: Tensor,
  token: Tensor,
  { vocabulary, top }: { readonly vocabulary: number; readonly top: number },
): { readonly own: Tensor; readonly topTokens: Tensor; readonly topLogprobs: Tensor } {
  const [S, V] = logits.shape;
  const scores = maskPadding(logits, vocabulary);
  const highest = scores.max([1], { keepDims: true });
  const total = scores.sub(highest).exp().sum([1], { keepDims: true }).log().add(highest).reshape([S]);
  const column = iota([S, V], 1);
  const scoreOf = (wanted: Tensor) => scores.where(column.eq(wanted.reshape([S, 1])), 0).sum([1]);
  const [tokens, values]: [Tensor[], Tensor[]] = [[], []];
  let rest = scores;
  for (let place = 0; place < top; place++) {
    const best = largest(rest);
    tokens.push(best.reshape([S, 1]));
    values.push(scoreOf(best).sub(total).reshape([S, 1]));
    rest = rest.where(column.ne(best.reshape([S, 1])), NEVER);
  }
  return {
    own: scoreOf(token).sub(total),
    topTokens: joined(tokens),
    topLogprobs: joined(values),
  };
}

/** Columns [S, 1] side by side, [S, n]. */
function joined(columns: readonly Tensor[]): Tensor {
  const [S] = columns[0].shape;
  const place = iota([S, columns.length], 1);
  return columns.reduce((wide, column, i) => where(place.eq(i), column, wide));
}

function maskPadding(scores: Tensor, vocabulary: number): Tensor {
  if (vocabulary >= scores.shape[1]) return scores;
  return scores.where(iota(scores.shape, 1).lt(vocabulary), NEVER);
}

/** Column (i32 [S]) of the largest value in each row of [S, V], the first of equals; in two stages where rows are long. */
function largest(values: Tensor): Tensor {
  const [S, V] = values.shape;
  const width = blockWidth(V);
  if (width === V) return values.argmax(1);
  const blocks = values.reshape([S, V / width, width]);
  const best = blocks.max([2]);
  const within = blocks.argmax(2);
  const block = best.argmax(1).reshape([S, 1]);
  const place = iota(within.shape, 1);
  return place.mul(width).add(within).where(place.eq(block), 0).sum([1]);
}

/** The largest divisor of V that is at most {@link BLOCK} and leaves whole vec4s; V itself when it is short or has none. */
function blockWidth(V: number): number {
  if (V <= BLOCK) return V;
  for (let width = BLOCK; width >= 256; width -= 4) if (V % width === 0) return width;
  return V;
}

/** The smallest score [S] that each row may draw; undefined when every token may be drawn. */
function threshold(
  scores: Tensor,
  { vocabulary, temperature, topK, topP, minP }: SamplingTensors,
): Tensor | undefined {
  if (!topK && !topP && !minP) return undefined;
  const highest = scores.max([1]); // [S]
  const warmth = temperature.maximum(COLD);
  const lowest = maskPadding(scores.neg(), vocabulary).max([1]).neg().maximum(highest.sub(warmth.mul(REACH)));
  const limits: Tensor[] = [];
  if (topK) limits.push(search(scores, lowest, highest, undefined, topK.maximum(1)));
  if (topP) {
    const mass = scores.sub(column(highest)).div(column(warmth)).exp(); // [S, V]
    const kept = topK ? mass.where(scores.ge(column(limits[0])), 0) : mass;
    const enough = kept.sum([1]).mul(topP);
    // Nothing is asked for: rounding must not cut off the least likely tokens.
    limits.push(where(topP.lt(1), search(scores, lowest, highest, kept, enough), lowest));
  }
  if (minP) limits.push(where(minP.gt(0), highest.add(temperature.mul(minP.maximum(TINY).log())), lowest));
  return limits.reduce((most, limit) => most.maximum(limit)).minimum(highest);
}

/**
 * The largest number t [S] with which the `mass` [S, V] of the scores from t on (without it: their number) is still
 * `enough` [S]. Sorting a vocabulary is slow on a GPU; each round keeps that part of the interval in which t lies.
 */
function search(
  scores: Tensor,
  lowest: Tensor,
  highest: Tensor,
  mass: Tensor | undefined,
  enough: Tensor,
): Tensor {
  const [S, V] = scores.shape;
  const weight = (mass ?? scores.mul(0).add(1)).reshape([S, 1, V]);
  const wide = scores.reshape([S, 1, V]);
  const parts = iota([1, PARTS - 1], 1).add(1).cast("f32").mul(1 / PARTS);
  let low = lowest;
  let width = highest.sub(lowest);
  for (let round = 0; round < ROUNDS; round++) {
    const candidates = column(low).add(column(width).mul(parts)); // [S, PARTS - 1], ascending
    const above = weight.where(wide.ge(candidates.reshape([S, PARTS - 1, 1])), 0).sum([2]);
    const passed = above.ge(column(enough)).cast("f32").sum([1]); // how many hold: true, …, true, false, …
    low = low.add(width.mul(1 / PARTS).mul(passed));
    width = width.mul(1 / PARTS);
  }
  return low;
}

function column(row: Tensor): Tensor {
  return row.reshape([row.shape[0], 1]);
}

/** A copy of `tokens` [N] (i32) with `token` at `position` (both i32 scalars). */
export function placeToken(tokens: Tensor, position: Tensor, token: Tensor): Tensor {
  return where(iota(tokens.shape, 0).eq(position), token, tokens);
}
