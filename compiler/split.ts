/**
 * Graph passes that fit a program to the target's sizes: long reductions with little parallelism become two stages, and
 * gathers and products whose operands no single binding can cover become sums of pieces. Everything else that is too
 * large is cut into windows later, without changing the graph.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { columnSumPartners } from "./column_sums.ts";
import { bytesPerElement } from "./dtype.ts";
import { type Graph, GraphBuilder, type Node, type NodeId, sizeOf } from "./graph.ts";
import { isRowReduction, reducedAxes, reductionDomain } from "./lower.ts";

/** Elements that one invocation reduces in a stage. */
const STAGE_LENGTH = 4096;
/** Rows that keep a target busy without splitting, and invocations of four columns that do. */
const BUSY = { software: { rows: 64, columns: 32 }, gpu: { rows: 1024, columns: 4096 } };
/** Shorter reductions are left alone whatever their parallelism: rows are contiguous, columns are not. */
const SHORT = { rows: 1024, columns: 128 };
/** How often one kernel may walk a row: the loss does for a maximum, two sums, and to store the gradient. */
const ROW_WALKS = 5;
/** Rows that one invocation adds up in a stage of a column reduction. */
const COLUMN_STAGE = 64;
/** Depths of a product that one loop iteration adds up; a few times the smallest step of any schedule. */
const DEPTHS_PER_ITERATION = 8;

/** Rewrites reductions, gathers and products that do not fit the target as they are. */
export function splitForTarget(graph: Graph, target: Capabilities): Graph {
  return new Splitter(graph, target).run();
}

class Splitter {
  readonly #builder = new GraphBuilder();
  readonly #moved: NodeId[] = [];

  /** Sums that a product will compute beside itself. */
  readonly #byProducts: ReadonlyMap<NodeId, Node>;

  constructor(readonly graph: Graph, readonly target: Capabilities) {
    this.#byProducts = columnSumPartners(graph);
  }

  run(): Graph {
    for (const node of this.graph.nodes) {
      this.#builder.origin = node.origin;
      const inputs = node.inputs.map((input) => this.#moved[input]);
      this.#moved.push(this.#rewrite(node, inputs) ?? this.#builder.add(node.op, inputs, node.attrs));
    }
    for (const output of this.graph.outputs) {
      this.#builder.outputs.push({ ...output, node: this.#moved[output.node] });
    }
    return this.#builder.finish();
  }

  #rewrite(node: Node, inputs: readonly NodeId[]): NodeId | undefined {
    if (node.op === "sum" || node.op === "max") return this.#reduction(node, inputs[0]);
    if (node.op === "gather") return this.#gather(node, inputs);
    if (node.op === "matmul") return this.#product(node, inputs);
    return undefined;
  }

  #bytes(node: Node): number {
    return sizeOf(node.shape) * bytesPerElement(node.dtype);
  }

  #reduction(node: Node, input: NodeId): NodeId | undefined {
    const source = this.graph.nodes[node.inputs[0]];
    const { parallel, reduced } = reductionDomain(this.graph, node);
    const product = this.#byProducts.get(node.id);
    if (product && this.#windowsOfDepth(product) === undefined) return undefined;
    const busy = this.target.software ? BUSY.software : BUSY.gpu;
    if (isRowReduction(this.graph, node)) {
      const tooLong = reduced / 4 > this.target.maxLoopIterations / ROW_WALKS;
      if (reduced <= SHORT.rows || (parallel >= busy.rows && !tooLong)) return undefined;
      return this.#rows(node, this.#reshape(input, [parallel, reduced]), parallel, reduced);
    }
    const axes = reducedAxes(node).filter((axis) => source.shape[axis] > 1);
    const leading = axes.every((axis) =>
      source.shape.slice(0, axis).every((size, i) => size === 1 || axes.includes(i))
    );
    if (!leading) return this.#oneByOne(node, input, axes);
    const tooLong = reduced > this.target.maxLoopIterations / 4;
    // A window is a range of columns, and reads all rows of its range.
    const tooLarge = this.#bytes(source) > this.target.maxBindingBytes && reduced > 3;
    const fits = reduced <= SHORT.columns || (parallel / 4 >= busy.columns && !tooLong);
    if (fits && !tooLarge) return undefined;
    return this.#columns(node, this.#reshape(input, [reduced, parallel]), parallel, reduced);
  }

  #reshape(input: NodeId, shape: readonly number[]): NodeId {
    return this.#builder.add("reshape", [input], { shape });
  }

  #reduce(node: Node, input: NodeId, axis: number): NodeId {
    return this.#builder.add(node.op, [input], { axes: [axis] });
  }

  #slice(input: NodeId, starts: readonly number[], ends: readonly number[]): NodeId {
    return this.#builder.add("slice", [input], { starts, ends });
  }

  #join(node: Node, a: NodeId, b: NodeId): NodeId {
    return this.#builder.add(node.op === "sum" ? "add" : "maximum", [a, b]);
  }

  /** [parallel, reduced] along the rows: stages of equal length, and what is left over. */
  #rows(node: Node, input: NodeId, parallel: number, reduced: number): NodeId {
    const length = stageLength(reduced);
    const stages = Math.floor(reduced / length);
    const main = stages * length;
    const head = main === reduced ? input : this.#slice(input, [0, 0], [parallel, main]);
    let partial = this.#reduce(node, this.#reshape(head, [parallel, stages, length]), 2);
    // The partial results of a very long row are themselves a long row.
    partial = stages > STAGE_LENGTH
      ? this.#rows(node, partial, parallel, stages)
      : this.#reduce(node, partial, 1);
    if (main < reduced) {
      const tail = this.#slice(input, [0, main], [parallel, reduced]);
      partial = this.#join(node, this.#reshape(partial, [parallel]), this.#reduce(node, tail, 1));
    }
    return this.#reshape(partial, node.shape);
  }

  /** [reduced, parallel] down the columns. */
  #columns(node: Node, input: NodeId, parallel: number, reduced: number): NodeId {
    const rowBytes = parallel * bytesPerElement(node.dtype);
    const { maxBindingBytes } = this.target;
    // A window that crosses from stage to stage reads both.
    const covered = Math.max(2, Math.floor(maxBindingBytes / 4 / rowBytes));
    const length = Math.min(
      Math.max(COLUMN_STAGE, Math.ceil(Math.sqrt(reduced))),
      Math.ceil(reduced / 2),
      covered,
    );
    const stages = Math.floor(reduced / length);
    const main = stages * length;
    const head = main === reduced ? input : this.#slice(input, [0, 0], [main, parallel]);
    const partial = this.#reduce(node, this.#reshape(head, [stages, length, parallel]), 1);
    let total = stages > 3 && stages * rowBytes > maxBindingBytes
      ? this.#columns(node, partial, parallel, stages)
      : this.#reduce(node, partial, 0);
    total = this.#reshape(total, [parallel]);
    if (main < reduced) {
      const tail = this.#slice(input, [main, 0], [reduced, parallel]);
      total = this.#join(node, total, this.#reduce(node, tail, 0));
    }
    return this.#reshape(total, node.shape);
  }

  #oneByOne(node: Node, input: NodeId, axes: readonly number[]): NodeId | undefined {
    const { shape } = this.graph.nodes[node.inputs[0]];
    const fits = axes.length < 2 && shape[axes[0]] <= this.target.maxLoopIterations;
    if (fits || sizeOfAxes(shape, axes) <= SHORT.columns) return undefined;
    let value = input;
    for (const axis of [...axes].sort((a, b) => b - a)) value = this.#axis(node, value, axis);
    return this.#reshape(value, node.shape);
  }

  /** Reduces any one axis, in two stages where a single loop would be too long. */
  #axis(node: Node, input: NodeId, axis: number): NodeId {
    const { shape } = this.#builder.nodes[input];
    const reduced = shape[axis];
    if (reduced <= this.target.maxLoopIterations) return this.#reduce(node, input, axis);
    const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
    const length = Math.ceil(Math.sqrt(reduced));
    const stages = Math.floor(reduced / length);
    const main = stages * length;
    const whole = this.#reshape(input, [outer, reduced, inner]);
    const head = this.#slice(whole, [0, 0, 0], [outer, main, inner]);
    const partial = this.#reduce(node, this.#reshape(head, [outer, stages, length, inner]), 2);
    let total = this.#reduce(node, partial, 1);
    if (main < reduced) {
      const tail = this.#slice(whole, [0, main, 0], [outer, reduced, inner]);
      total = this.#join(node, total, this.#reduce(node, tail, 1));
    }
    return this.#reshape(total, shape.filter((_, i) => i !== axis));
  }

  /** A gather gives 0 outside its table, so the gathers of a table's windows add up to that of the table. */
  #gather(node: Node, [table, indices]: readonly NodeId[]): NodeId | undefined {
    const source = this.graph.nodes[node.inputs[0]];
    const bytes = this.#bytes(source);
    if (bytes <= this.target.maxBindingBytes) return undefined;
    const [rows, ...rest] = source.shape;
    const size = windowLength(rows, bytes, this.target.maxBindingBytes);
    const { shape: indexShape, dtype } = this.graph.nodes[node.inputs[1]];
    let total: NodeId | undefined;
    for (let start = 0; start < rows; start += size) {
      const end = Math.min(rows, start + size);
      const window = this.#slice(table, [start, ...rest.map(() => 0)], [end, ...rest]);
      const offset = this.#broadcast(this.#builder.add("constant", [], { value: start, dtype }), indexShape);
      const shifted = this.#builder.add("sub", [indices, offset]);
      const part = this.#builder.add("gather", [window, shifted]);
      total = total === undefined ? part : this.#builder.add("add", [total, part]);
    }
    return total;
  }

  #broadcast(scalar: NodeId, shape: readonly number[]): NodeId {
    if (shape.length === 0) return scalar;
    const ones = this.#reshape(scalar, shape.map(() => 1));
    return this.#builder.add("broadcast", [ones], { shape });
  }

  /** The depth of a product that must be summed in pieces, and of each piece. */
  #windowsOfDepth(node: Node): { depth: number; size: number } | undefined {
    const rank = node.shape.length;
    const [left, right] = node.inputs.map((input) => this.graph.nodes[input]);
    const batch = sizeOf(node.shape.slice(0, -2));
    const strided = [...node.attrs.transA ? [left] : [], ...node.attrs.transB ? [] : [right]];
    const bytes = Math.max(0, ...strided.map((operand) => this.#bytes(operand) / batch));
    const depth = left.shape[node.attrs.transA ? rank - 2 : rank - 1];
    const deepest = DEPTHS_PER_ITERATION * this.target.maxLoopIterations;
    if (bytes <= this.target.maxBindingBytes && depth <= deepest) return undefined;
    return { depth, size: Math.min(windowLength(depth, bytes, this.target.maxBindingBytes), deepest) };
  }

  /**
   * Windows along rows or columns cannot help an operand whose outermost axis is the summed one, nor a sum too long for
   * the loop over it: split the sum.
   */
  #product(node: Node, [a, b]: readonly NodeId[]): NodeId | undefined {
    const windows = this.#windowsOfDepth(node);
    if (!windows) return undefined;
    const { depth, size } = windows;
    const rank = node.shape.length;
    const [left, right] = node.inputs.map((input) => this.graph.nodes[input]);
    let total: NodeId | undefined;
    for (let start = 0; start < depth; start += size) {
      const end = Math.min(depth, start + size);
      const cut = (input: NodeId, shape: readonly number[], axis: number) =>
        this.#slice(
          input,
          shape.map((_, i) => i === axis ? start : 0),
          shape.map((length, i) => i === axis ? end : length),
        );
      const part = this.#builder.add("matmul", [
        cut(a, left.shape, node.attrs.transA ? rank - 2 : rank - 1),
        cut(b, right.shape, node.attrs.transB ? rank - 1 : rank - 2),
      ], node.attrs);
      total = total === undefined ? part : this.#builder.add("add", [total, part]);
    }
    return total;
  }
}

/** A stage length that divides the whole and keeps vec4 loads, if there is one; otherwise the usual one. */
function stageLength(reduced: number): number {
  for (let length = STAGE_LENGTH; length >= 256; length -= 4) if (reduced % length === 0) return length;
  return Math.min(STAGE_LENGTH, Math.floor(reduced / 8) * 4);
}

/** Equal windows along an axis, in multiples of 64 where possible, so that each stays below the limit. */
function windowLength(length: number, bytes: number, limit: number): number {
  const count = Math.ceil(bytes / (limit - 4096));
  const size = Math.ceil(length / count);
  const rounded = Math.ceil(size / 64) * 64;
  return rounded * (bytes / length) <= limit ? rounded : size;
}

function sizeOfAxes(shape: readonly number[], axes: readonly number[]): number {
  return axes.reduce((product, axis) => product * shape[axis], 1);
}
