/**
 * The error of this folder: data that cannot be used, with what to do about it.
 *
 * @module
 */

/** Data that a user named and that cannot be used. */
export class DataError extends Error {
  override readonly name = "DataError";
  /**
   * @param source What was asked for, such as `text:poems.txt`.
   * @param problem What is wrong with it.
   * @param remedy What to do.
   */
  constructor(readonly source: string, readonly problem: string, readonly remedy: string) {
    super(`${source}: ${problem}; ${remedy}`);
  }
}
