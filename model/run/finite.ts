/**
 * The watch over numbers: a run whose loss is no number cannot recover, and must not be saved over a good one.
 *
 * @module
 */
import { LOSS_SCALING } from "../precision.ts";
import type { StepFigures } from "../session.ts";

/** A step gave a loss or gradients that are no numbers. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
  /** @param figures Those of the step. */
  constructor(readonly figures: StepFigures) {
    const { step, loss, gradNorm } = figures;
    super(`step ${step + 1}: the loss is ${loss}, the gradient norm ${gradNorm}: the run has diverged`);
  }
}

/**
 * Refuses figures that are no numbers. Gradients that overflow in f16 make a step that does not count, unless the loss scale cannot
 * become smaller.
 *
 * @throws {DivergedError} with the first such step.
 */
export function checkFinite(figures: readonly StepFigures[]): void {
  const bad = figures.find(({ loss, gradNorm, lossScale = LOSS_SCALING.smallest }) =>
    !Number.isFinite(loss) || (!Number.isFinite(gradNorm) && lossScale <= LOSS_SCALING.smallest)
  );
  if (bad) throw new DivergedError(bad);
}
