/**
 * What a simplification is: a rule looks at a node that is about to be added, and at the nodes below it, and may answer
 * with another node that has the same value.
 *
 * @module
 */
import type { Attrs, Node, NodeId, Shape, TensorType } from "../graph.ts";

/** A node that is about to be added: its inputs are in the new graph and already simplified. */
export type Draft = Omit<Node, "id" | "origin">;

/** The graph under construction, as rules see it. */
export interface Rewriter {
  /** A node of the new graph. */
  node(id: NodeId): Node;
  /** Adds a node, simplified in turn, or finds an equal one. */
  add(op: string, inputs: readonly NodeId[], attrs?: Attrs): NodeId;
  /** The value that all elements of a node have, when it is a constant or made of one by movement alone. */
  uniform(id: NodeId): number | undefined;
  /** A tensor whose elements all are `value`. */
  fill(value: number, type: TensorType): NodeId;
}

/** One simplification. */
export interface Rule {
  /** Name in the inspector's listing. */
  readonly name: string;
  /** The ops on which it is tried. */
  readonly ops: readonly string[];
  /** Why the value stays the same. */
  readonly why: string;
  /** The node to use instead, or undefined when the rule does not apply. */
  apply(node: Draft, graph: Rewriter): NodeId | undefined;
}

/** First input of node `id` when that is an `op`: y for neg(y) and "neg". */
export function inputOf(graph: Rewriter, id: NodeId, op: string): Node | undefined {
  const node = graph.node(id);
  return node.op === op ? graph.node(node.inputs[0]) : undefined;
}

/** True when two lists of numbers are equal. */
export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** True for a shape of ones, such as that of a constant before it is broadcast. */
export function isOnes(shape: Shape): boolean {
  return shape.every((size) => size === 1);
}
