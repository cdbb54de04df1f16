/**
 * The errors that the compiler throws. Each carries its facts in fields, so that a caller can act on them without
 * parsing the message.
 *
 * @module
 */

/** A call on tensors whose shapes or dtypes do not fit; thrown by the call itself, while tracing. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
  /**
   * @param op Name of the operation that was refused.
   * @param problem What does not fit, in words, with the shapes.
   * @param site The user's source line (`file:line`), when known.
   */
  constructor(readonly op: string, readonly problem: string, readonly site?: string) {
    super(`${op}: ${problem}${site ? ` (at ${site})` : ""}`);
  }
}

/** A limit of the target that no plan can keep, found before anything runs. */
export class LimitError extends Error {
  override readonly name = "LimitError";
  /**
   * @param what What is too large, by name: a kernel, a tensor, a buffer.
   * @param limit Name of the limit, as WebGPU or the capability record spells it.
   * @param needed The size that was asked for.
   * @param allowed The size that the target allows.
   */
  constructor(
    readonly what: string,
    readonly limit: string,
    readonly needed: number,
    readonly allowed: number,
  ) {
    super(`${what} needs ${needed} but ${limit} is ${allowed}`);
  }
}

/** A graph whose text or structure is not well formed. */
export class GraphError extends Error {
  override readonly name = "GraphError";
}

/** A broken promise inside the compiler: always a bug of ours, never of the user's program. */
export class InternalError extends Error {
  override readonly name = "InternalError";
  constructor(problem: string) {
    super(`internal: ${problem}`);
  }
}
