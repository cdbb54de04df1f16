/**
 * The trace in progress. Functions such as `constant` have no tensor argument to find the graph by, so the trace that is
 * running is kept here for the length of one synchronous call of `trace` or of a decomposition, and at no other time.
 *
 * @module
 */
import { callSite } from "./call_site.ts";
import { ShapeError } from "./errors.ts";
import type { Attrs, GraphBuilder, NodeId, Origin } from "./graph.ts";

/** A graph under construction and the origin that new nodes get. */
export class TraceContext {
  #scopes: string[] = [];
  #phase: Origin["phase"] = "forward";
  #fixedOrigin: Origin | undefined;
  #closed = false;

  /** @param builder The graph that nodes are added to. */
  /** A trace that adds its nodes to `builder`. */
  constructor(readonly builder: GraphBuilder) {}

  /**
   * Adds a node with the current origin.
   *
   * @throws {ShapeError} when the types do not fit, or the trace has ended.
   */
  add(op: string, inputs: readonly NodeId[], attrs: Attrs = {}): NodeId {
    const origin = this.origin(this.add);
    if (this.#closed) throw new ShapeError(op, OUTSIDE, origin.site);
    return this.builder.add(op, inputs, attrs, origin);
  }

  /**
   * Origin of a node that is added now.
   *
   * @param callee Where the search for the user's line begins: a function on the stack.
   */
  origin(callee: (...args: never[]) => unknown = this.origin): Origin {
    if (this.#fixedOrigin) return this.#fixedOrigin;
    const site = callSite(callee);
    return { scope: this.#scopes.at(-1) ?? "", phase: this.#phase, ...(site ? { site } : {}) };
  }

  /** Ends the trace: its tensors cannot be computed with any more. */
  close(): void {
    this.#closed = true;
  }

  /** Runs `body` with nodes of the given origin: a gradient or a decomposition speaks for the node it comes from. */
  withOrigin<T>(origin: Origin, body: () => T): T {
    const before = this.#fixedOrigin;
    this.#fixedOrigin = origin;
    try {
      return body();
    } finally {
      this.#fixedOrigin = before;
    }
  }

  /** Runs `body` with nodes named after `scope`, a dotted module path. */
  withScope<T>(scope: string, body: () => T): T {
    this.#scopes.push(scope);
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Runs `body` with nodes that belong to `phase`. */
  withPhase<T>(phase: Origin["phase"], body: () => T): T {
    const before = this.#phase;
    this.#phase = phase;
    try {
      return body();
    } finally {
      this.#phase = before;
    }
  }
}

const OUTSIDE = "tensors exist only while a function is being traced";

let current: TraceContext | undefined;

/** Makes `context` the trace in progress while `body` runs. */
export function withContext<T>(context: TraceContext, body: () => T): T {
  const before = current;
  current = context;
  try {
    return body();
  } finally {
    current = before;
  }
}

/**
 * The trace in progress.
 *
 * @throws {ShapeError} outside of one.
 */
export function currentContext(op: string): TraceContext {
  if (!current) throw new ShapeError(op, OUTSIDE, callSite(currentContext));
  return current;
}

/**
 * Names the nodes that `body` makes after a module path such as `h.3.mlp`.
 *
 * @example
 * ```ts
 * import { printGraph, scope, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: scope("mlp", () => x.gelu()) }), { x: { shape: [3], dtype: "f32", role: "batch" } });
 * console.log(printGraph(graph)); // the line of gelu ends with: # mlp @...
 * ```
 */
export function scope<T>(name: string, body: () => T): T {
  return currentContext("scope").withScope(name, body);
}

/** Marks the nodes that `body` makes as part of the optimizer (or another phase). */
export function phase<T>(name: "forward" | "backward" | "optimizer", body: () => T): T {
  return currentContext("phase").withPhase(name, body);
}
