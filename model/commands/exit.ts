/**
 * How commands end: bad input is one line on standard error and exit code 2, anything else that fails is exit code 1.
 *
 * @module
 */
import { explainFailure } from "../errors.ts";

/** Exit code of a run that failed through no fault of its input. */
export const FAILED = 1;
/** Exit code of bad input. */
export const BAD_INPUT = 2;
/** Exit code of a run that was interrupted: 128 + SIGINT. */
export const INTERRUPTED = 130;

/** Runs a command's body and ends the process with its exit code; an error becomes one line. */
export async function runCommand(body: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await body());
  } catch (problem) {
    if (problem instanceof Deno.errors.BrokenPipe) Deno.exit(0); // whoever read the output has seen enough
    const { message, badInput } = explainFailure(problem);
    console.error(`error: ${message}`);
    Deno.exit(badInput ? BAD_INPUT : FAILED);
  }
}
