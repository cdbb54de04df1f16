/**
 * How commands end: bad input is one line on standard error and exit code 2, anything else that fails is exit code 1.
 *
 * @module
 */

/** Exit code of a run that failed through no fault of its input. */
export const FAILED = 1;
/** Exit code of bad input. */
export const BAD_INPUT = 2;
/** Exit code of a run that was interrupted: 128 + SIGINT. */
export const INTERRUPTED = 130;

/** True for errors that the user can put right, from any part of the program. */
export function isInputError(problem: unknown): problem is Error {
  return problem instanceof Error && INPUT_ERRORS.has(problem.name);
}

/** Names, not classes: errors also come out of Workers, where only the name survives. */
const INPUT_ERRORS = new Set(["InputError"]);

/** Runs a command's body; its errors become one line and an exit code. */
export async function runCommand(body: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await body());
  } catch (problem) {
    if (problem instanceof Error && problem.name === "BrokenPipe") Deno.exit(0);
    if (isInputError(problem)) {
      console.error(`error: ${problem.message}`);
      Deno.exit(BAD_INPUT);
    }
    console.error(`error: ${problem instanceof Error ? problem.message : problem}`);
    Deno.exit(FAILED);
  }
}
