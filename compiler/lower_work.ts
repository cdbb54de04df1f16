/**
 * Turns a work (a fusion group or a copy) into the Kernel IR of one kernel: the body of a loop, or the operands and the
 * epilogue of a template. Loads and stores name allocations and their elements.
 *
 * @module
 */
import { attentionOperands, attentionPosition, attentionSizes } from "./attention.ts";
import { cachedIndices, type CachedSizes } from "./cached_attention.ts";
import { GraphError, InternalError } from "./errors.ts";
import type { GroupKind } from "./fusion.ts";
import { type Attrs, type Graph, type Node, sizeOf } from "./graph.ts";
import {
  add,
  constantIndex,
  floorDiv,
  type IndexExpr,
  linearize,
  modulo,
  unravel,
  variable,
} from "./index_expr.ts";
import { Body, type ValueId } from "./kernel.ts";
import { elementPosition, type Locate, Lowering } from "./lower.ts";
import { CACHED_ATTENTION } from "./ops/cached_attention.ts";
import { matmulOperands, matmulPosition, matmulSizes } from "./reads.ts";
import { OPS } from "./ops/mod.ts";
import type { Home, Storage, Work } from "./storage.ts";

/** A value that a template reads for itself, with its own body. */
export interface Operand {
  /** How it is computed. */
  readonly body: Body;
  /** Which value of the body it is. */
  readonly value: ValueId;
}

/** Kernel IR of one kernel. */
export interface KernelIR {
  /** Which generator it gets. */
  readonly kind: Exclude<GroupKind, "concat">;
  /** What it computes, in the ops' names. */
  readonly title: string;
  /** Range of `p`; for a product, all its elements. */
  readonly parallel: number;
  /** Range of `r`. */
  readonly reduced: number;
  /** Loop body, or the epilogue of a template. */
  readonly body: Body;
  /**
   * What a template reads: A and B of a product; q, k, v and what the gradients need of attention; updates, order and
   * offsets of a segment sum; an indexed op's input; the rows that `setRows` writes, and where.
   */
  readonly operands: Readonly<Record<string, Operand>>;
  /** Sizes of a product, of attention, or of an indexed op. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Op of an indexed or attention kernel. */
  readonly op?: string;
  /** What that op was given besides tensors. */
  readonly attrs?: Attrs;
}

/** Builds the Kernel IR of a work. */
export function lowerWork(storage: Storage, work: Work): KernelIR {
  const { graph } = storage.fusion;
  if (work.copyOf !== undefined) return lowerRootCopy(storage, work, work.copyOf);
  const { group } = work;
  const members = new Set(group?.nodes ?? []);
  const computed = (node: Node) => members.has(node.id) || storage.fusion.inline.has(node.id);
  const locate: Locate = (node, index) => {
    const home = storage.homes.get(node.id);
    if (!home) throw new InternalError(`%${node.id} (${node.op}) is loaded but has no home`);
    return { tensor: home.root, index: home.map(index) };
  };
  const kind = group?.kind ?? "pointwise";
  if (kind === "concat") throw new InternalError("a concatenation has no kernel");
  const domain = group
    ? { parallel: group.parallel, reduced: group.reduced }
    : { parallel: sizeOf(graph.nodes[work.stores[0].node].shape), reduced: 1 };
  const body = new Body();
  const lowering = new Lowering(graph, body, computed, domain, locate);
  const anchor = group?.anchor === undefined ? undefined : graph.nodes[group.anchor];
  const operandOf = (id: number, index: readonly IndexExpr[]): Operand => {
    const inner = new Body();
    const value = new Lowering(graph, inner, computed, { parallel: 1, reduced: 1 }, locate).value(id, index);
    return { body: inner, value };
  };

  let operands: Record<string, Operand> = {};
  let sizes: Record<string, number> = {};
  if (kind === "matmul") {
    const [a, b] = matmulOperands(graph, anchor!);
    operands = { a: operandOf(anchor!.inputs[0], a), b: operandOf(anchor!.inputs[1], b) };
    sizes = matmulSizes(graph, anchor!);
  } else if (kind === "attention") {
    operands = Object.fromEntries(
      attentionOperands(graph, anchor!).map(({ name, id, index }) => [name, operandOf(id, index)]),
    );
    sizes = attentionSizes(graph, anchor!);
  } else if (kind === "segment") {
    ({ operands, sizes } = segmentOperands(graph, anchor!, operandOf));
  } else if (anchor?.op === "setRows") {
    ({ operands, sizes } = rowOperands(graph, anchor, operandOf));
    requireInPlace(storage, work, anchor);
  } else if (anchor?.op === CACHED_ATTENTION) {
    ({ operands, sizes } = cachedOperands(graph, anchor, operandOf));
  } else if (kind === "indexed") {
    const [input] = anchor!.inputs;
    const length = graph.nodes[input].shape[0];
    sizes = { length, size: domain.parallel };
    operands = {
      own: operandOf(input, [variable("p", length)]),
      other: operandOf(input, [variable("j", length)]),
    };
  }

  for (const { node: id, homes } of work.stores) {
    const node = graph.nodes[id];
    const size = sizeOf(node.shape);
    if (kind === "attention") {
      storeResult(body, node, attentionPosition(graph, node), homes);
      continue;
    }
    if (anchor?.op === CACHED_ATTENTION) {
      storeResult(body, node, cachedIndices(sizes as unknown as CachedSizes).q, homes);
      continue;
    }
    if (kind === "matmul" && OPS[node.op].class === "reduce") {
      storeResult(body, node, unravel(variable("n", size), node.shape), homes);
      continue;
    }
    const position = kind === "matmul"
      ? matmulPosition(graph, anchor!)
      : kind === "row" && size === domain.parallel * domain.reduced
      ? elementPosition(domain)
      : variable("p", size);
    const index = unravel(position, node.shape);
    const value = lowering.value(id, index);
    for (const home of homes) {
      body.stores.push({ tensor: home.root, index: home.map(index), value, dtype: node.dtype });
    }
  }
  const op = kind === "indexed" || kind === "attention" ? { op: anchor!.op, attrs: anchor!.attrs } : {};
  return { kind, title: titleOf(graph, work), ...domain, body, operands, sizes, ...op };
}

/** Stores what a template with several results computes for `node`. */
function storeResult(body: Body, node: Node, index: readonly IndexExpr[], homes: readonly Home[]): void {
  const value = body.add({ kind: "result", node: node.id, op: node.op, dtype: node.dtype });
  for (const home of homes) {
    body.stores.push({ tensor: home.root, index: home.map(index), value, dtype: node.dtype });
  }
}

function segmentOperands(
  graph: Graph,
  anchor: Node,
  operandOf: (id: number, index: readonly IndexExpr[]) => Operand,
) {
  const [updates, order, offsets] = anchor.inputs;
  const [rows, ...rest] = anchor.shape;
  const width = sizeOf(rest);
  const count = graph.nodes[updates].shape[0];
  const p = variable("p", rows * width);
  const column = unravel(modulo(p, width), rest);
  const row = floorDiv(p, width);
  return {
    sizes: { rows, width, count },
    operands: {
      updates: operandOf(updates, [variable("j", count), ...column]),
      order: operandOf(order, [variable("t", count)]),
      start: operandOf(offsets, [row]),
      end: operandOf(offsets, [add(row, constantIndex(1))]),
    },
  };
}

/** Of `setRows`: element `q` of the rows, and the row of the table that it belongs to. */
function rowOperands(
  graph: Graph,
  anchor: Node,
  operandOf: (id: number, index: readonly IndexExpr[]) => Operand,
) {
  const [, indices, rows] = anchor.inputs;
  const [table, ...rest] = anchor.shape;
  const width = sizeOf(rest);
  const count = graph.nodes[indices].shape[0];
  const q = variable("q", count * width);
  return {
    sizes: { table, width, count },
    operands: {
      row: operandOf(indices, [floorDiv(q, width)]),
      value: operandOf(rows, unravel(q, graph.nodes[rows].shape)),
    },
  };
}

function cachedOperands(
  graph: Graph,
  anchor: Node,
  operandOf: (id: number, index: readonly IndexExpr[]) => Operand,
) {
  const [q, k, v, slot, last] = anchor.inputs;
  const [b, h, m, n] = anchor.shape;
  const [s, , t] = graph.nodes[k].shape;
  const sizes = { b, h, m, n, s, t };
  const index = cachedIndices(sizes);
  return {
    sizes,
    operands: {
      q: operandOf(q, index.q),
      k: operandOf(k, index.cache),
      v: operandOf(v, index.cache),
      slot: operandOf(slot, index.slot),
      last: operandOf(last, index.last),
    },
  };
}

/** What `setRows` does not write must be there already: its result has to lie where its operand lies. */
function requireInPlace(storage: Storage, work: Work, anchor: Node): void {
  const table = storage.homes.get(anchor.inputs[0]);
  const isState = table !== undefined && storage.roots[table.root].kind === "state";
  const homes = work.stores.flatMap((store) => store.homes);
  if (isState && homes.every((home) => home.root === table.root)) return;
  throw new GraphError(
    `%${anchor.id} setRows cannot work in place: its table must be a state input, its result the output that donates to ` +
      "that state, and nothing may read the old rows afterwards",
  );
}

function lowerRootCopy(storage: Storage, work: Work, from: number): KernelIR {
  const root = storage.roots[from];
  const [{ homes: [home] }] = work.stores;
  const body = new Body();
  const p = variable("p", root.elements);
  const value = body.add({ kind: "load", tensor: from, index: p, dtype: root.dtype });
  const node = storage.fusion.graph.nodes[work.stores[0].node];
  const index = home.map(unravel(linearize([p], [root.elements]), node.shape));
  body.stores.push({ tensor: home.root, index, value, dtype: root.dtype });
  const title = `copy to ${storage.roots[home.root].name}`;
  return {
    kind: "pointwise",
    title,
    parallel: root.elements,
    reduced: 1,
    body,
    operands: {},
    sizes: {},
  };
}

const TITLE_OPS = 5;

/** A short name from the ops of a group, such as `matmul+add+tanh`. */
function titleOf(graph: Graph, work: Work): string {
  if (!work.group) return "copy";
  const names: string[] = [];
  for (const id of work.group.nodes) {
    const { op } = graph.nodes[id];
    if (names[names.length - 1] !== op) names.push(op);
  }
  if (work.group.anchor !== undefined) {
    const anchor = graph.nodes[work.group.anchor].op;
    names.sort((a, b) => Number(b === anchor) - Number(a === anchor));
  }
  const shown = names.slice(0, TITLE_OPS).join("+");
  return names.length > TITLE_OPS ? `${shown}+${names.length - TITLE_OPS} more` : shown;
}
