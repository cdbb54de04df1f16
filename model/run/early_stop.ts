/**
 * Ends a run that has stopped getting better: after so many validations without a new best.
 *
 * @module
 */

/** Nats by which a loss must be below the best to be a new best. */
const LEAST_GAIN = 1e-4;

/** Keeps account of validations. */
export class EarlyStop {
  #best = { step: 0, loss: Infinity };
  #since = 0;

  /** @param patience Validations without a new best that end the run. */
  constructor(private readonly patience: number) {}

  /** Takes the validation loss after `step` steps; true when the run should end. */
  check(step: number, loss: number): boolean {
    if (loss < this.#best.loss - LEAST_GAIN) {
      this.#best = { step, loss };
      this.#since = 0;
    } else this.#since++;
    return this.#since >= this.patience;
  }

  /** Why the run ends, for people. */
  get text(): string {
    const { step, loss } = this.#best;
    return `early stop: the best validation loss, ${
      loss.toFixed(4)
    } at step ${step}, is ${this.#since} validations ago`;
  }
}
