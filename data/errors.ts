/**
 * The error of this folder: data that cannot be used, with what to do about it.
 *
 * @module
 */

/** Data that a user named and that cannot be used. */
export class DataError extends Error {
  /** Tells this error from others. */
  override readonly name = "DataError";
  /**
   * Writes the message: source, problem and remedy in one line.
   *
   * @param source What was asked for, such as `text:poems.txt`.
   * @param problem What is wrong with it.
   * @param remedy What to do.
   */
  constructor(readonly source: string, readonly problem: string, readonly remedy: string) {
    super(`${source}: ${problem}; ${remedy}`);
  }
}
