/**
 * The trace in progress. Functions such as `constant` have no tensor argument to find the graph by, so the trace that is
 * running is kept here for the length of one synchronous call of `trace` or of a decomposition, and at no other time.
 *
 * @module
 */
import { ShapeError } from "./errors.ts";
import type { Attrs, GraphBuilder, NodeId, Origin } from "./graph.ts";

/** A graph under construction and the origin that new nodes get. */
export class TraceContext {
  #scopes: string[] = [];
  #phase: Origin["phase"] = "forward";
  /** Overrides scope, phase and site: a decomposition speaks for the node that it replaces. */
  fixedOrigin: Origin | undefined;

  constructor(readonly builder: GraphBuilder) {}

  /** Adds a node with the current origin. */
  add(op: string, inputs: readonly NodeId[], attrs: Attrs = {}): NodeId {
    return this.builder.add(op, inputs, attrs, this.origin());
  }

  /** Origin of a node that is added now. */
  origin(): Origin {
    if (this.fixedOrigin) return this.fixedOrigin;
    const site = callSite();
    return { scope: this.#scopes.at(-1) ?? "", phase: this.#phase, ...(site ? { site } : {}) };
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
  if (!current) throw new ShapeError(op, "tensors exist only while a function is being traced", callSite());
  return current;
}

const OWN_FOLDER = new URL(".", import.meta.url).href;
const ROOT_FOLDER = new URL("..", import.meta.url).href;

/** First frame outside the compiler, as `path:line`, relative to the project where it lies inside. */
function callSite(): string | undefined {
  const holder: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 16;
  Error.captureStackTrace(holder, callSite);
  Error.stackTraceLimit = limit;
  for (const line of holder.stack?.split("\n").slice(1) ?? []) {
    const match = /(\w+:\/\/[^\s)]+):(\d+):\d+\)?$/.exec(line);
    if (!match || match[1].startsWith(OWN_FOLDER) || match[1].startsWith("ext:")) continue;
    return `${match[1].replace(ROOT_FOLDER, "").replace("file://", "")}:${match[2]}`;
  }
  return undefined;
}
