/**
 * The error for what a user can put right: a flag, a file, a size. Commands print its one line and end with exit
 * code 2; a server answers 400 with it.
 *
 * @module
 */
import type { GpuError } from "../runtime/errors.ts";
import type { FailureReason } from "./messages.ts";

/** Bad input: names the input, what is wrong with it, and the remedy, in one line. */
export class InputError extends Error {
  /** Name of the class. */
  override readonly name: string = "InputError";
  /**
   * Puts the facts into one line.
   *
   * @param input What was given, by the name under which the user gave it (`--heads 5`, a path).
   * @param problem What is wrong with it.
   * @param remedy What to do instead.
   */
  constructor(readonly input: string, readonly problem: string, readonly remedy: string) {
    super(`${input}: ${problem}; ${remedy}`);
  }
}

/** There is nothing left to do in a run: all of its steps are done and saved. */
export class FinishedError extends InputError {
  /** Name of the class. */
  override readonly name: string = "FinishedError";
}

/** Names of the errors that a user can put right; by name, since they come from every part of the program. */
const USERS_ERRORS = new Set([
  "InputError",
  "FinishedError",
  "DataError",
  "CheckpointError",
  "SafetensorsError",
  "LimitError",
]);

/** An error as one line, and whether the user can put it right. */
export interface Failure {
  readonly message: string;
  readonly badInput: boolean;
  /** Where a program may want to act on it. */
  readonly reason?: FailureReason;
}

/** Describes whatever was thrown. */
export function explainFailure(problem: unknown): Failure {
  if (!(problem instanceof Error)) return { message: String(problem), badInput: false };
  const message = problem.message.replace(/\s*\n\s*/g, " ");
  const remedy = problem.name === "LimitError" ? "; take a smaller model, --context or --micro-batch" : "";
  const reason = reasonOf(problem);
  return { message: message + remedy, badInput: USERS_ERRORS.has(problem.name), ...reason && { reason } };
}

function reasonOf(problem: Error): FailureReason | undefined {
  if (problem.name === "FinishedError") return "already-finished";
  return problem.name === "GpuError" && (problem as GpuError).kind === "lost" ? "device-lost" : undefined;
}
