/**
 * A graph that computes windows of another's outputs and as little else as it can: for whoever wants to know some elements
 * of a large result in float64 without waiting for all of them. Windows are pushed from the outputs towards the inputs;
 * where an op mixes everything (a sort, a segment's sum), the whole of it is computed and cut.
 *
 * @module
 */
import { type Graph, GraphBuilder, type Node, type NodeId } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import { stridesOf } from "./ops/movement.ts";

/** Part of a tensor: from `start` up to `end` along every axis. */
export interface Box {
  /** First index of each axis. */
  readonly starts: readonly number[];
  /** The one after the last. */
  readonly ends: readonly number[];
}

/** A window of one of a graph's nodes, and what to call it. */
export interface Window extends Box {
  /** Name of the output. */
  readonly name: string;
  /** The node. */
  readonly node: NodeId;
}

/**
 * The graph whose outputs are these windows. Inputs keep their shapes.
 *
 * @param graph Without composites, which have to be written out before.
 */
export function restrictTo(graph: Graph, windows: readonly Window[]): Graph {
  const restriction = new Restriction(graph);
  const { builder } = restriction;
  for (const { name, node, starts, ends } of windows) {
    builder.outputs.push({ name, node: restriction.part(node, { starts, ends }) });
  }
  return builder.finish();
}

class Restriction {
  readonly builder = new GraphBuilder();
  readonly #known = new Map<string, NodeId>();

  constructor(readonly graph: Graph) {}

  /** The node that computes a part of node `id`. */
  part(id: NodeId, box: Box): NodeId {
    const key = `${id} ${box.starts} ${box.ends}`;
    let known = this.#known.get(key);
    if (known === undefined) this.#known.set(key, known = this.#build(this.graph.nodes[id], box));
    return known;
  }

  #all(id: NodeId): NodeId {
    return this.part(id, whole(this.graph.nodes[id].shape));
  }

  #build(node: Node, box: Box): NodeId {
    const { builder } = this;
    const { op, inputs, attrs, shape } = node;
    if (isWhole(box, shape)) {
      return builder.add(
        op,
        inputs.map((input) => this.#all(input)),
        attrs,
        node.origin,
      );
    }
    const { starts, ends } = box;
    const { class: opClass } = OPS[op];
    if (opClass === "pointwise") return builder.add(op, inputs.map((input) => this.part(input, box)), attrs);
    if (opClass === "reduce") return builder.add(op, [this.part(inputs[0], this.#reduced(node, box))], attrs);
    if (opClass === "contraction") {
      return builder.add(op, inputs.map((input, i) => this.part(input, this.#factor(node, box, i))), attrs);
    }
    switch (op) {
      case "iota":
        return this.#iota(box, attrs.axis as number);
      case "transpose": {
        const perm = attrs.perm as readonly number[];
        const axes = perm.map((_, axis) => perm.indexOf(axis));
        return builder.add(op, [this.part(inputs[0], pick(box, axes))], attrs);
      }
      case "broadcast": {
        const source = this.graph.nodes[inputs[0]].shape;
        const own = (bounds: readonly number[], one: number) =>
          bounds.map((bound, axis) => source[axis] === 1 ? one : bound);
        const part = this.part(inputs[0], { starts: own(starts, 0), ends: own(ends, 1) });
        return builder.add(op, [part], { shape: shapeOf(box) });
      }
      case "slice": {
        const first = attrs.starts as readonly number[];
        const shift = (bounds: readonly number[]) => bounds.map((bound, axis) => bound + first[axis]);
        return this.part(inputs[0], { starts: shift(starts), ends: shift(ends) });
      }
      case "reshape":
        return this.#reshape(node, box);
      case "gather": {
        const [table, indices] = inputs.map((input) => this.graph.nodes[input]);
        const rank = indices.shape.length;
        const rows = this.part(table.id, {
          starts: [0, ...starts.slice(rank)],
          ends: [table.shape[0], ...ends.slice(rank)],
        });
        const which = this.part(indices.id, { starts: starts.slice(0, rank), ends: ends.slice(0, rank) });
        return builder.add(op, [rows, which], attrs);
      }
      default:
        return this.#cut(this.#all(node.id), box);
    }
  }

  #cut(id: NodeId, { starts, ends }: Box): NodeId {
    return this.builder.add("slice", [id], { starts, ends });
  }

  /** What a reduction's part reads: all along the reduced axes. */
  #reduced({ op, inputs, attrs }: Node, { starts, ends }: Box): Box {
    const source = this.graph.nodes[inputs[0]].shape;
    const axes = op === "argmax" ? [attrs.axis as number] : attrs.axes as readonly number[];
    const result = { starts: [...starts], ends: [...ends] };
    for (const axis of [...axes].sort((a, b) => a - b)) {
      result.starts.splice(axis, 0, 0);
      result.ends.splice(axis, 0, source[axis]);
    }
    return result;
  }

  /** What a product's part reads of its first or second factor: all along the depth. */
  #factor({ inputs, attrs, shape }: Node, { starts, ends }: Box, which: number): Box {
    const source = this.graph.nodes[inputs[which]].shape;
    const rank = shape.length;
    const own = rank - 2 + which;
    const isFirst = which === 0 ? !attrs.transA : Boolean(attrs.transB);
    const [kept, depth] = isFirst ? [rank - 2, rank - 1] : [rank - 1, rank - 2];
    const result = { starts: [...starts], ends: [...ends] };
    [result.starts[kept], result.ends[kept]] = [starts[own], ends[own]];
    [result.starts[depth], result.ends[depth]] = [0, source[depth]];
    return result;
  }

  #iota(box: Box, axis: number): NodeId {
    const { builder } = this;
    const shape = shapeOf(box);
    const counted = builder.add("iota", [], { shape, axis });
    const first = builder.add("constant", [], { value: box.starts[axis], dtype: "i32" });
    const one = builder.add("reshape", [first], { shape: shape.map(() => 1) });
    return builder.add("add", [counted, builder.add("broadcast", [one], { shape })]);
  }

  /** Elements that follow each other do so in the source as well: a run of it that covers them is computed, and cut. */
  #reshape({ inputs, shape }: Node, box: Box): NodeId {
    const { builder } = this;
    const [first, end] = runOf(box, shape);
    const source = this.graph.nodes[inputs[0]];
    const cover = covering(first, end, source.shape);
    const [coverFirst, coverEnd] = runOf(cover, source.shape);
    const flat = builder.add("reshape", [this.part(source.id, cover)], { shape: [coverEnd - coverFirst] });
    const run = first === coverFirst && end === coverEnd
      ? flat
      : this.#cut(flat, { starts: [first - coverFirst], ends: [end - coverFirst] });
    const around = covering(first, end, shape);
    const unfolded = builder.add("reshape", [run], { shape: shapeOf(around) });
    const within = (bounds: readonly number[]) => bounds.map((bound, axis) => bound - around.starts[axis]);
    const part = { starts: within(box.starts), ends: within(box.ends) };
    return isWhole(part, shapeOf(around)) ? unfolded : this.#cut(unfolded, part);
  }
}

function whole(shape: readonly number[]): Box {
  return { starts: shape.map(() => 0), ends: shape };
}

function isWhole({ starts, ends }: Box, shape: readonly number[]): boolean {
  return shape.every((size, axis) => starts[axis] === 0 && ends[axis] === size);
}

function shapeOf({ starts, ends }: Box): number[] {
  return ends.map((end, axis) => end - starts[axis]);
}

function pick({ starts, ends }: Box, axes: readonly number[]): Box {
  return { starts: axes.map((axis) => starts[axis]), ends: axes.map((axis) => ends[axis]) };
}

/** The first element, and the one after the last, of a run of row-major elements that holds a box. */
function runOf(box: Box, shape: readonly number[]): [number, number] {
  const steps = stridesOf(shape);
  let axis = 0;
  while (axis < shape.length - 1 && box.ends[axis] - box.starts[axis] === 1) axis++;
  const before = steps.slice(0, axis).reduce((sum, step, i) => sum + step * box.starts[i], 0);
  return [before + box.starts[axis] * steps[axis], before + box.ends[axis] * steps[axis]];
}

/** The smallest box around elements `first` up to `end` whose own elements follow each other. */
function covering(first: number, end: number, shape: readonly number[]): Box {
  const steps = stridesOf(shape);
  const starts: number[] = [];
  const ends: number[] = [];
  let [low, high] = [first, end - 1];
  for (const [axis, step] of steps.entries()) {
    const [from, to] = [Math.floor(low / step), Math.floor(high / step)];
    starts.push(from);
    ends.push(to + 1);
    if (from !== to) {
      for (const size of shape.slice(axis + 1)) {
        starts.push(0);
        ends.push(size);
      }
      break;
    }
    [low, high] = [low - from * step, high - to * step];
  }
  return { starts, ends };
}
