/**
 * What each node reads from memory, and at which index, once views and inlined nodes are looked through: the facts on
 * which the fuser decides.
 *
 * @module
 */
import { attentionOperands } from "./attention.ts";
import { type Graph, type Node, type NodeId, sizeOf } from "./graph.ts";
import { add, type IndexExpr, rangeOf, scale, unravel, variable } from "./index_expr.ts";
import { Body } from "./kernel.ts";
import { elementPosition, isRowReduction, Lowering, reductionDomain } from "./lower.ts";
import { OPS } from "./ops/mod.ts";

/**
 * How the reading position follows from the reader's own: the same element, one element for a whole row of `length`, or
 * anything else (a transpose, a gather, a tile of a product).
 */
export type Relation =
  | { readonly kind: "same" }
  | { readonly kind: "row"; readonly length: number }
  | { readonly kind: "other" };

/** One read of a tensor in memory. */
export interface Read {
  readonly tensor: NodeId;
  readonly relation: Relation;
  /** First and last element that is read. */
  readonly span: readonly [number, number];
}

const SAME: Relation = { kind: "same" };
const OTHER: Relation = { kind: "other" };

/**
 * The reads of node `id`, looking through views and through the nodes that `inline` accepts.
 *
 * A pointwise node's own position is its row-major element; a row reduction's is the element that it consumes.
 */
export function readsOf(graph: Graph, id: NodeId, inline: (node: NodeId) => boolean): Read[] {
  const node = graph.nodes[id];
  const { class: opClass } = OPS[node.op];
  const computed = (other: Node) => other.id === id || inline(other.id);
  const body = new Body();
  if (opClass === "contraction") {
    const [a, b] = matmulOperands(graph, node);
    const lowering = new Lowering(graph, body, computed, { parallel: 1, reduced: 1 });
    lowering.value(node.inputs[0], a);
    lowering.value(node.inputs[1], b);
    return collect(body, undefined, undefined);
  }
  if (opClass === "attention") {
    const lowering = new Lowering(graph, body, computed, { parallel: 1, reduced: 1 });
    for (const operand of attentionOperands(graph, node)) lowering.value(operand.id, operand.index);
    return collect(body, undefined, undefined);
  }
  if (opClass === "reduce") {
    const domain = reductionDomain(graph, node);
    const lowering = new Lowering(graph, body, computed, domain);
    lowering.value(id, unravel(variable("p", domain.parallel), node.shape));
    const own = isRowReduction(graph, node) ? elementPosition(domain) : undefined;
    return collect(body, own, domain.reduced);
  }
  if (opClass === "pointwise" || node.op === "gather") {
    const size = sizeOf(node.shape);
    const own = variable("p", size);
    new Lowering(graph, body, computed, { parallel: size, reduced: 1 }).value(id, unravel(own, node.shape));
    return collect(body, own, undefined);
  }
  for (const input of node.inputs) {
    const { shape } = graph.nodes[input];
    const domain = { parallel: sizeOf(shape), reduced: 1 };
    new Lowering(graph, body, computed, domain).value(input, unravel(variable("p", domain.parallel), shape));
  }
  return collect(body, undefined, undefined);
}

function collect(body: Body, own: IndexExpr | undefined, rowLength: number | undefined): Read[] {
  const reads = new Map<string, Read>();
  for (const instruction of body.instructions) {
    if (instruction.kind !== "load") continue;
    const relation = own ? relationOf(instruction.index, own, rowLength) : OTHER;
    const key = `${instruction.tensor} ${relation.kind === "row" ? relation.length : relation.kind}`;
    const known = reads.get(key)?.span ?? [Infinity, -Infinity];
    const [low, high] = rangeOf(instruction.index);
    const span = [Math.min(low, known[0]), Math.max(high, known[1])] as const;
    reads.set(key, { tensor: instruction.tensor, relation, span });
  }
  return [...reads.values()];
}

function relationOf(index: IndexExpr, own: IndexExpr, rowLength: number | undefined): Relation {
  if (index.key === own.key) return SAME;
  if (rowLength !== undefined) return index.key === "p" ? { kind: "row", length: rowLength } : OTHER;
  if (index.terms.length === 0 && index.constant === 0) {
    const [only] = own.terms;
    return only?.atom.kind === "var" ? { kind: "row", length: only.atom.size } : OTHER;
  }
  if (index.terms.length !== 1 || index.constant !== 0) return OTHER;
  const [{ atom, factor }] = index.terms;
  if (factor !== 1 || atom.kind !== "div" || atom.of.key !== own.key) return OTHER;
  return { kind: "row", length: atom.by };
}

/** Index vectors of a product's operands over the variables `z` (batch), `m`, `n` and `k`. */
export function matmulOperands(graph: Graph, node: Node): [IndexExpr[], IndexExpr[]] {
  const { batch, rows, cols, depth } = matmulSizes(graph, node);
  const z = unravel(variable("z", batch), node.shape.slice(0, -2));
  const m = variable("m", rows);
  const n = variable("n", cols);
  const k = variable("k", depth);
  return [
    node.attrs.transA ? [...z, k, m] : [...z, m, k],
    node.attrs.transB ? [...z, n, k] : [...z, k, n],
  ];
}

/** Sizes of a batched product. */
export function matmulSizes(graph: Graph, node: Node) {
  const rank = node.shape.length;
  const a = graph.nodes[node.inputs[0]].shape;
  return {
    batch: sizeOf(node.shape.slice(0, -2)),
    rows: node.shape[rank - 2],
    cols: node.shape[rank - 1],
    depth: node.attrs.transA ? a[rank - 2] : a[rank - 1],
  };
}

/** Row-major position of element (z, m, n) of a product. */
export function matmulPosition(graph: Graph, node: Node): IndexExpr {
  const { batch, rows, cols } = matmulSizes(graph, node);
  const row = addAll([scale(variable("z", batch), rows), variable("m", rows)]);
  return addAll([scale(row, cols), variable("n", cols)]);
}

function addAll(parts: readonly IndexExpr[]): IndexExpr {
  return parts.reduce((sum, part) => add(sum, part));
}
