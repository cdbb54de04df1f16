/**
 * The errors that the compiler throws. Each carries its facts in fields, so that a caller can act on them without
 * parsing the message.
 *
 * @module
 */

/** A call on tensors whose shapes or dtypes do not fit; thrown by the call itself, while tracing. */
export class ShapeError extends Error {
  /** Name of the class. */
  override readonly name = "ShapeError";
  /** Puts the facts into the message. */
  constructor(
    /** Name of the operation that was refused. */
    readonly op: string,
    /** What does not fit. */
    readonly problem: string,
    /** The user's source line, when known. */
    readonly site?: string,
  ) {
    super(`${op}: ${problem}${site ? ` (at ${site})` : ""}`);
  }
}

/** A limit of the target that no plan can keep, found before anything runs. */
export class LimitError extends Error {
  /** Name of the class. */
  override readonly name = "LimitError";
  /** Puts the facts into the message. */
  constructor(
    /** What is too large. */
    readonly what: string,
    /** Name of the limit. */
    readonly limit: string,
    /** The size that was asked for. */
    readonly needed: number,
    /** The size that the target allows. */
    readonly allowed: number,
  ) {
    super(`${what} needs ${needed} but ${limit} is ${allowed}`);
  }
}

/** A budget of memory that a program cannot keep, however much it recomputes. */
export class MemoryBudgetError extends Error {
  /** Name of the class. */
  override readonly name = "MemoryBudgetError";
  /** Puts the facts into the message. */
  constructor(
    /** Name of the program. */
    readonly program: string,
    /** The least that it can be planned with, in bytes. */
    readonly needed: number,
    /** The budget, in bytes. */
    readonly budget: number,
  ) {
    super(
      `the program ${program} needs at least ${needed} bytes of memory, recomputing all that helps, ` +
        `but its budget is ${budget}`,
    );
  }
}

/** Values given to a program, or asked of it, that do not fit its inputs and outputs. */
export class BindingError extends Error {
  /** Survives a Worker, where the class does not. */
  override readonly name = "BindingError";
  /**
   * Names program and tensor.
   *
   * @param program Name of the program.
   * @param tensor Name of the input or output.
   * @param problem What does not fit.
   */
  constructor(readonly program: string, readonly tensor: string, readonly problem: string) {
    super(`program ${program}: ${tensor}: ${problem}`);
  }
}

/** A graph whose text or structure is not well formed. */
export class GraphError extends Error {
  /** Name of the class. */
  override readonly name = "GraphError";
}

/** A broken promise inside the compiler: always a bug of ours, never of the user's program. */
export class InternalError extends Error {
  /** Name of the class. */
  override readonly name = "InternalError";
  /** Marks the message as ours. */
  constructor(problem: string) {
    super(`internal: ${problem}`);
  }
}
