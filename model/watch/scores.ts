/**
 * What kind of head a head is, in numbers: each is the mean weight that it gives to one place (Elhage et al. 2021, "A Mathematical
 * Framework for Transformer Circuits"; Olsson et al. 2022, "In-context Learning and Induction Heads").
 *
 * | score | mean weight on | sequence |
 * |---|---|---|
 * | previous | the token before | prompt |
 * | first | the first token | prompt |
 * | self | the token itself | prompt |
 * | same | the same token one repetition earlier | repeated |
 * | induction | the token that came after the same token one repetition earlier | repeated |
 * | entropy | not a weight: entropy of the row by that of an even one | prompt |
 *
 * @module
 */
import type { ScoreName } from "./observation.ts";

/** The first two rows cannot tell the first token from the one before and the token itself. */
const FIRST_ROW = 2;

/** Scores of one head's map [P, P] of the prompt; NaN where the prompt is too short. */
export function promptScores(
  map: Float32Array,
  size: number,
): Readonly<Record<Extract<ScoreName, "previous" | "first" | "self" | "entropy">, number>> {
  const sums = { previous: 0, first: 0, self: 0, entropy: 0 };
  for (let row = FIRST_ROW; row < size; row++) {
    const weights = map.subarray(row * size, row * size + row + 1);
    sums.previous += weights[row - 1];
    sums.first += weights[0];
    sums.self += weights[row];
    sums.entropy += entropy(weights) / Math.log(row + 1);
  }
  const rows = Math.max(0, size - FIRST_ROW); // 0 / 0 is NaN
  return {
    previous: sums.previous / rows,
    first: sums.first / rows,
    self: sums.self / rows,
    entropy: sums.entropy / rows,
  };
}

/** In nats. */
function entropy(weights: Float32Array): number {
  return weights.reduce((sum, weight) => weight > 0 ? sum - weight * Math.log(weight) : sum, 0);
}
