/**
 * Masks that losses and attention share: columns that cannot win, and the column that a target names.
 *
 * @module
 */
import { iota, type Tensor } from "../tensor.ts";

/** Scores that can never win: not -Infinity, which WGSL has no constant for and which turns differences into NaN. */
export const MASKED = -1e30;

/** Scores [N, V] with the columns from `classes` on replaced by {@link MASKED}. */
export function maskColumns(scores: Tensor, classes: number): Tensor {
  if (classes >= scores.shape[1]) return scores;
  return scores.where(iota(scores.shape, 1).lt(classes), MASKED);
}

/** bool [N, V]: true where the column is the row's target; i32 targets [N] outside [0, V) hit nothing. */
export function targetHits(targets: Tensor, columns: number): Tensor {
  const [rows] = targets.shape;
  return iota([rows, columns], 1).eq(targets.reshape([rows, 1]));
}
