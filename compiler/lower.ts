/**
 * Lowers graph nodes to Kernel IR by demand: the value of a node at an index vector is built from the values of its
 * inputs at index vectors that follow from it. Movement ops only rewrite the index; pointwise ops become instructions;
 * nodes that live in memory become loads. What is computed and what is loaded is the fuser's decision, passed in as a
 * predicate.
 *
 * @module
 */
import { InternalError } from "./errors.ts";
import { type Graph, type Node, type NodeId, sizeOf } from "./graph.ts";
import {
  add,
  constantIndex,
  type IndexExpr,
  laneStep,
  linearize,
  rangeOf,
  scale,
  unravel,
  variable,
} from "./index_expr.ts";
import { type Body, type ValueId, valueName } from "./kernel.ts";
import { OPS } from "./ops/mod.ts";

/** Thrown when a node inside a kernel is wanted at an index at which the kernel does not compute it. */
export class IndexMismatch extends Error {
  override readonly name = "IndexMismatch";
  constructor(readonly node: NodeId, readonly index: string) {
    super(`node %${node} is wanted at index ${index}`);
  }
}

/** Names the tensor or allocation that holds an element of a node, and the element's position in it. */
export type Locate = (node: Node, index: readonly IndexExpr[]) => { tensor: number; index: IndexExpr };

/** Builds the values of nodes inside one kernel. */
export class Lowering {
  readonly #memo = new Map<string, ValueId>();

  /**
   * @param graph The graph.
   * @param body Receives the instructions.
   * @param computed Says whether a node is computed inside the kernel; others are loaded from memory.
   * @param domain Sizes of the kernel's parallel and reduced variable.
   * @param locate Where a loaded element lies; by default in the tensor itself, row-major.
   */
  constructor(
    readonly graph: Graph,
    readonly body: Body,
    readonly computed: (node: Node) => boolean,
    readonly domain: { readonly parallel: number; readonly reduced: number },
    readonly locate: Locate = (node, index) => ({ tensor: node.id, index: linearize(index, node.shape) }),
  ) {}

  /** The value of node `id` at `index` (one expression for each axis). */
  value(id: NodeId, index: readonly IndexExpr[]): ValueId {
    const key = `${id}|${index.map((part) => part.key).join(",")}`;
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const value = this.#build(this.graph.nodes[id], index);
    this.#memo.set(key, value);
    return value;
  }

  #build(node: Node, index: readonly IndexExpr[]): ValueId {
    const { body } = this;
    switch (node.op) {
      case "input":
        if (node.attrs.role === "scalar") {
          return body.add({ kind: "scalar", name: node.attrs.name as string, dtype: node.dtype });
        }
        return this.#load(node, index);
      case "constant":
        return body.add({ kind: "constant", value: node.attrs.value as number, dtype: node.dtype });
      case "iota":
        return body.add({ kind: "index", index: index[node.attrs.axis as number], dtype: "i32" });
      case "random": {
        // With a key for each row, every row counts from 0.
        const keyed = this.graph.nodes[node.inputs[0]].shape.length;
        return body.add({
          kind: "random",
          key: this.value(node.inputs[0], index.slice(0, keyed)),
          index: linearize(index.slice(keyed), node.shape.slice(keyed)),
          stream: node.attrs.stream as number,
          dtype: "u32",
        });
      }
    }
    const { class: opClass } = OPS[node.op];
    if (opClass === "movement" && node.op !== "concat") return this.#movement(node, index);
    if (!this.computed(node)) return this.#load(node, index);
    if (node.op === "gather") return this.#gather(node, index);
    if (opClass === "pointwise") {
      const args = node.inputs.map((input) => this.value(input, index));
      return body.add({ kind: "apply", op: node.op, args, attrs: node.attrs, dtype: node.dtype });
    }
    if (opClass === "reduce") return this.#reduce(node, index);
    return body.add({ kind: "result", node: node.id, op: node.op, dtype: node.dtype });
  }

  #load(node: Node, index: readonly IndexExpr[]): ValueId {
    return this.body.add({ kind: "load", ...this.locate(node, index), dtype: node.dtype });
  }

  #movement(node: Node, index: readonly IndexExpr[]): ValueId {
    const [input] = node.inputs;
    const source = this.graph.nodes[input];
    switch (node.op) {
      case "reshape":
        return this.value(input, unravel(linearize(index, node.shape), source.shape));
      case "transpose": {
        const perm = node.attrs.perm as readonly number[];
        const moved: IndexExpr[] = new Array(perm.length);
        perm.forEach((axis, i) => moved[axis] = index[i]);
        return this.value(input, moved);
      }
      case "broadcast":
        return this.value(
          input,
          index.map((part, axis) => source.shape[axis] === 1 ? constantIndex(0) : part),
        );
      case "slice": {
        const starts = node.attrs.starts as readonly number[];
        return this.value(input, index.map((part, axis) => add(part, constantIndex(starts[axis]))));
      }
      case "pad":
        return this.#pad(node, source, index);
      default:
        throw new InternalError(`movement op ${node.op} has no lowering`);
    }
  }

  #pad(node: Node, source: Node, index: readonly IndexExpr[]): ValueId {
    const before = node.attrs.before as readonly number[];
    const { body } = this;
    let inside: ValueId | undefined;
    index.forEach((part, axis) => {
      const low = before[axis];
      const high = low + source.shape[axis];
      const [least, most] = rangeOf(part);
      if (least >= low && most < high) return;
      const guard = body.add({ kind: "inside", index: part, low, high, dtype: "bool" });
      inside = inside === undefined
        ? guard
        : body.add({ kind: "apply", op: "and", args: [inside, guard], attrs: {}, dtype: "bool" });
    });
    const value = this.value(source.id, index.map((part, axis) => add(part, constantIndex(-before[axis]))));
    if (inside === undefined) return value;
    return this.#select(inside, value, node);
  }

  #select(condition: ValueId, value: ValueId, node: Node): ValueId {
    const zero = this.body.add({ kind: "constant", value: 0, dtype: node.dtype });
    return this.body.add({
      kind: "apply",
      op: "select",
      args: [condition, value, zero],
      attrs: {},
      dtype: node.dtype,
    });
  }

  #gather(node: Node, index: readonly IndexExpr[]): ValueId {
    const [table, indices] = node.inputs;
    const rank = this.graph.nodes[indices].shape.length;
    const rows = this.graph.nodes[table].shape[0];
    const at = this.value(indices, index.slice(0, rank));
    const row: IndexExpr = rows === 1 ? constantIndex(0) : variable(valueName(at), rows);
    const value = this.value(table, [row, ...index.slice(rank)]);
    // Judged at full range, because the variable itself is declared to lie inside the table.
    const guard = this.body.add({
      kind: "inside",
      index: variable(valueName(at), 2 ** 32),
      low: 0,
      high: rows,
      dtype: "bool",
    });
    return this.#select(guard, value, node);
  }

  #reduce(node: Node, index: readonly IndexExpr[]): ValueId {
    const { parallel } = this.domain;
    const position = linearize(index, node.shape);
    if (position.key !== variable("p", parallel).key) throw new IndexMismatch(node.id, position.key);
    const operand = reducedIndex(this.graph.nodes[node.inputs[0]], node, this.domain);
    const arg = this.value(node.inputs[0], operand);
    return this.body.add({
      kind: "reduce",
      op: node.op as "sum" | "max" | "argmax",
      arg,
      dtype: node.dtype,
    });
  }
}

/** Axes that a reduction removes. */
export function reducedAxes(node: Node): readonly number[] {
  return node.op === "argmax" ? [node.attrs.axis as number] : node.attrs.axes as readonly number[];
}

/** Sizes of the parallel and the reduced variable of a reduction. */
export function reductionDomain(graph: Graph, node: Node): { parallel: number; reduced: number } {
  const source = graph.nodes[node.inputs[0]];
  const parallel = sizeOf(node.shape);
  return { parallel, reduced: reducedAxes(node).reduce((product, axis) => product * source.shape[axis], 1) };
}

/**
 * True when a reduction runs along the memory's fastest axes, so that row p's element r is element p·reduced + r of the
 * operand; axes of size 1 do not matter.
 */
export function isRowReduction(graph: Graph, node: Node): boolean {
  const { shape } = graph.nodes[node.inputs[0]];
  const removed = new Set(reducedAxes(node));
  let keptSeen = false;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 1) continue;
    if (!removed.has(axis)) keptSeen = true;
    else if (keptSeen) return false;
  }
  return true;
}

/** The operand's index vector at row `p`, reduced position `r`. */
function reducedIndex(
  source: Node,
  node: Node,
  domain: { readonly parallel: number; readonly reduced: number },
): IndexExpr[] {
  const removed = reducedAxes(node);
  const kept = source.shape.map((_, axis) => axis).filter((axis) => !removed.includes(axis));
  const outer = unravel(variable("p", domain.parallel), kept.map((axis) => source.shape[axis]));
  const inner = unravel(variable("r", domain.reduced), removed.map((axis) => source.shape[axis]));
  const index: IndexExpr[] = new Array(source.shape.length);
  kept.forEach((axis, i) => index[axis] = outer[i]);
  removed.forEach((axis, i) => index[axis] = inner[i]);
  return index;
}

/** Position of element r of row p in a tensor that has `parallel * reduced` elements. */
export function elementPosition(domain: { readonly parallel: number; readonly reduced: number }): IndexExpr {
  return add(scale(variable("p", domain.parallel), domain.reduced), variable("r", domain.reduced));
}

/** How many of a body's loads are unit steps of `name`, less those that are scattered: picks the vector axis. */
export function contiguity(body: Body, name: string): number {
  let score = 0;
  for (const instruction of body.instructions) {
    if (instruction.kind !== "load") continue;
    const step = laneStep(instruction.index, name);
    score += step === "next" ? 1 : step === "other" ? -1 : 0;
  }
  return score;
}
