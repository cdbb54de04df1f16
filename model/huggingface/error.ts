/**
 * The error of this folder.
 *
 * @module
 */
import { InputError } from "../errors.ts";

/** Hugging Face's files that cannot be used: `input` is the file. */
export class HuggingFaceError extends InputError {
  /** Name of the class; commands know it as bad input. */
  override readonly name: string = "InputError";
}
