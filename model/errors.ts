/**
 * The error for what a user can put right: a flag, a file, a size. Commands print its one line and end with exit
 * code 2; a server answers 400 with it.
 *
 * @module
 */

/** Bad input: names the input, what is wrong with it, and the remedy, in one line. */
export class InputError extends Error {
  override readonly name = "InputError";
  /**
   * @param input What was given, by the name under which the user gave it (`--heads 5`, a path).
   * @param problem What is wrong with it.
   * @param remedy What to do instead.
   */
  constructor(readonly input: string, readonly problem: string, readonly remedy: string) {
    super(`${input}: ${problem}; ${remedy}`);
  }
}
