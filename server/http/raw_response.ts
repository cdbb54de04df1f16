/**
 * Answers that are no JSON value: streams, and bodies that are made already.
 *
 * @module
 */

/** Hands a response to a route whose declared answers are JSON: the framework's types know no others. */
export function raw(response: Response): never {
  return response as never;
}
