/**
 * What one kernel computes, as a graph of its own: its inputs are the values that it loads from memory, its outputs those
 * that it stores, each with its place in the program's buffers. So a kernel can be held against the float64 reference on
 * exactly what it was given, whatever the kernels before it did.
 *
 * @module
 */
import type { Compilation } from "./compile.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { InternalError } from "./errors.ts";
import { type Attrs, type Graph, GraphBuilder, type Node, type NodeId, sizeOf } from "./graph.ts";
import {
  add,
  constantIndex,
  type IndexExpr,
  linearize,
  rangeOf,
  scale,
  unravel,
  variable,
} from "./index_expr.ts";
import { evaluateIndex } from "./index_values.ts";
import { OPS } from "./ops/mod.ts";
import type { Home, Root, Work } from "./storage.ts";

/** Where the elements of a value lie in the buffers of a program. */
export interface Place {
  /** Index into `Program.buffers`. */
  readonly buffer: number;
  /** First byte, a multiple of four, of the range that holds all elements. */
  readonly offset: number;
  /** Bytes of that range, a multiple of four. */
  readonly bytes: number;
  /** Type of the elements. */
  readonly dtype: DType;
  /** Position in the range, in elements, of each element of the value; left out: the same position. */
  readonly at?: Uint32Array;
  /** Number of elements of the value. */
  readonly elements: number;
}

/** A value that a kernel loads or stores. */
export interface IsolatedValue {
  /** Name of the input or output of the isolated graph. */
  readonly name: string;
  /** The node of the simplified graph. */
  readonly node: NodeId;
  /** Where it lies: for a stored value, every place that receives it. */
  readonly places: readonly Place[];
}

/** One kernel, cut out of its program. */
export interface IsolatedKernel {
  /** Position in the order of execution. */
  readonly position: number;
  /** Title of its Kernel IR, such as `sum+mul+sub`. */
  readonly title: string;
  /** Dispatches that compute it, usually one: the first, and the one after the last. */
  readonly launches: readonly [first: number, end: number];
  /** What it computes, from what it loads and from scalars. */
  readonly graph: Graph;
  /** Inputs of the graph, scalars apart. */
  readonly loads: readonly IsolatedValue[];
  /** Outputs of the graph. */
  readonly stores: readonly IsolatedValue[];
}

/** Cuts out the kernel at a position of the order of execution. */
export function isolate(compilation: Compilation, position: number): IsolatedKernel {
  const { storage, order, kernels, launches } = compilation;
  const work = storage.works[order[position]];
  const cut = new Cut(compilation, work);
  const stores = work.stores.map(({ node, homes }) => cut.store(node, homes));
  const { title } = kernels[position];
  return {
    position,
    title,
    launches: launches[position],
    graph: cut.builder.finish(),
    loads: cut.loads,
    stores,
  };
}

class Cut {
  readonly builder = new GraphBuilder();
  readonly loads: IsolatedValue[] = [];
  readonly #moved = new Map<NodeId, NodeId>();
  readonly #members: ReadonlySet<NodeId>;

  constructor(readonly compilation: Compilation, readonly work: Work) {
    this.#members = new Set(work.group?.nodes ?? []);
  }

  store(id: NodeId, homes: readonly Home[]): IsolatedValue {
    const { copyOf } = this.work;
    const node = this.#node(id);
    const name = `%${id}`;
    const from = copyOf === undefined
      ? this.#visit(id)
      : this.#leaf(node, { root: copyOf, map: (index) => linearize(index, node.shape) });
    this.builder.outputs.push({ name, node: from });
    return { name, node: id, places: homes.map((home) => this.#place(node, home)) };
  }

  #node(id: NodeId): Node {
    return this.compilation.simplified.nodes[id];
  }

  #visit(id: NodeId): NodeId {
    let moved = this.#moved.get(id);
    if (moved === undefined) this.#moved.set(id, moved = this.#build(this.#node(id)));
    return moved;
  }

  #build(node: Node): NodeId {
    const { op, attrs, origin } = node;
    if (op === "input" && attrs.role === "scalar") return this.builder.add(op, [], attrs, origin);
    const home = this.#loadedFrom(node);
    if (home) return this.#leaf(node, home);
    if (op === "slice") {
      // Parameters are slices of one large tensor, of which a kernel needs no more than its own.
      const source = this.#node(node.inputs[0]);
      const whole = this.#loadedFrom(source);
      const starts = attrs.starts as readonly number[];
      const map = (index: readonly IndexExpr[]) =>
        whole!.map(index.map((part, axis) => add(part, constantIndex(starts[axis]))));
      if (whole) return this.#leaf(node, { root: whole.root, map });
    }
    return this.builder.add(op, node.inputs.map((input) => this.#visit(input)), attrs, origin);
  }

  /** The home that the kernel loads a node from; undefined for what it computes itself. */
  #loadedFrom({ id, op, attrs }: Node): Home | undefined {
    const { storage: { homes, fusion: { inline } } } = this.compilation;
    if (op === "input") return attrs.role === "scalar" ? undefined : homes.get(id);
    const { class: opClass } = OPS[op];
    const isView = opClass === "leaf" || (opClass === "movement" && op !== "concat");
    if (isView || this.#members.has(id) || inline.has(id)) return undefined;
    const home = homes.get(id);
    if (!home) throw new InternalError(`%${id} (${op}) is loaded but has no home`);
    return home;
  }

  #leaf(node: Node, home: Home): NodeId {
    const name = `%${node.id}`;
    this.loads.push({ name, node: node.id, places: [this.#place(node, home)] });
    const attrs: Attrs = { name, role: "batch", shape: node.shape, dtype: node.dtype };
    return this.builder.add("input", [], attrs, node.origin);
  }

  #place(node: Node, home: Home): Place {
    const { placement, storage: { roots } } = this.compilation;
    return placeOf(node, home, roots[home.root], placement.at[placement.owner[home.root]]);
  }
}

function placeOf(
  { shape, dtype }: Node,
  home: Home,
  root: Root,
  at: { readonly buffer: number; readonly offset: number },
): Place {
  const elements = sizeOf(shape);
  const index = home.map(unravel(variable("p", elements), shape));
  const width = bytesPerElement(root.dtype);
  const [low, high] = rangeOf(index);
  const perWord = Math.max(1, 4 / width);
  const first = Math.floor(low / perWord) * perWord;
  const end = Math.ceil((high + 1) / perWord) * perWord;
  const place = {
    buffer: at.buffer,
    offset: at.offset + first * width,
    bytes: (end - first) * width,
    dtype,
    elements,
  };
  const isWhole = index.key === add(scale(variable("p", elements), 1), constantIndex(first)).key;
  return isWhole ? place : { ...place, at: evaluateIndex(add(index, constantIndex(-first)), "p", elements) };
}
