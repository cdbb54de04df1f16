// @ts-check
/**
 * The figures of a job's steps as columns, in order of steps, as charts want them. A step that is computed again replaces
 * its old figures.
 *
 * @module
 */

/** @typedef {import("../wire.d.ts").StepMetrics} StepMetrics */
/** @typedef {"loss" | "validationLoss" | "learningRate" | "gradNorm" | "tokensPerSecond"} Column */

/** @type {readonly Column[]} */
const COLUMNS = ["loss", "validationLoss", "learningRate", "gradNorm", "tokensPerSecond"];

/** Columns of figures. */
export class Series {
  /** @type {number[]} */
  steps = [];
  /** @type {Record<Column, (number | null)[]>} */
  columns = { loss: [], validationLoss: [], learningRate: [], gradNorm: [], tokensPerSecond: [] };

  /** Adds a step's figures. @param {StepMetrics} metrics */
  add(metrics) {
    const at = this.#rowOf(metrics.step);
    for (const column of COLUMNS) {
      if (metrics[column] !== undefined) this.columns[column][at] = metrics[column];
    }
  }

  /**
   * Adds a validation's loss.
   *
   * @param {number} step
   * @param {number | null} loss
   */
  addValidation(step, loss) {
    this.columns.validationLoss[this.#rowOf(step)] = loss;
  }

  /** The newest figure of a column. @param {Column} column */
  newest(column) {
    return this.columns[column].findLast((value) => value !== null) ?? null;
  }

  /** The row of a step, which is made where there is none. @param {number} step */
  #rowOf(step) {
    let low = 0;
    let high = this.steps.length;
    if (high > 0 && step > this.steps[high - 1]) low = high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle] < step) low = middle + 1;
      else high = middle;
    }
    if (this.steps[low] !== step) {
      this.steps.splice(low, 0, step);
      for (const column of COLUMNS) this.columns[column].splice(low, 0, null);
    }
    return low;
  }
}
