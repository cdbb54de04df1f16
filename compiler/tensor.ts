/**
 * The traced tensor: what a user's function computes with. A tensor has a shape and a dtype but no values; every method
 * adds a node to the graph of the trace in progress. Binary methods follow NumPy's broadcasting and take plain numbers.
 *
 * @module
 */
import { type DType, isFloat } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import { type Attrs, type NodeId, type Shape, sizeOf } from "./graph.ts";
import { currentContext, type TraceContext } from "./trace_context.ts";

/** A tensor, or a number that stands for a scalar constant of the other operand's dtype. */
export type Operand = Tensor | number;

/** Options of reductions. */
export interface ReduceOptions {
  /** Keep reduced axes with size 1. */
  readonly keepDims?: boolean;
}

/**
 * A tensor of the program under construction. All methods are lazy and throw {@link ShapeError} at once when shapes or
 * dtypes do not fit.
 *
 * @example
 * ```ts
 * import { trace } from "./trace.ts";
 * const graph = trace(({ x, w }) => ({ y: x.matmul(w).gelu() }), {
 *   x: { shape: [8, 16], dtype: "f32", role: "batch" },
 *   w: { shape: [16, 4], dtype: "f32", role: "state" },
 * });
 * ```
 */
export class Tensor {
  /** Tensors are made by `trace`, by methods of other tensors, and by the free functions of this module. */
  constructor(
    /** The trace that it belongs to. */
    readonly context: TraceContext,
    /** Its node. */
    readonly id: NodeId,
    /** Sizes of its axes. */
    readonly shape: Shape,
    /** Type of its elements. */
    readonly dtype: DType,
  ) {}

  #apply(op: string, others: readonly Tensor[] = [], attrs: Attrs = {}): Tensor {
    if (others.some((other) => other.context !== this.context)) {
      throw this.#error(op, "the tensors belong to different traces");
    }
    return fromNode(this.context, this.context.add(op, [this.id, ...others.map((other) => other.id)], attrs));
  }

  /** Adds a composite op by name; for the op table's own gradients. */
  composite(op: string, others: readonly Tensor[], attrs: Attrs): Tensor {
    return this.#apply(op, others, attrs);
  }

  #binary(op: string, other: Operand): Tensor {
    const right = typeof other === "number" ? constant(other, this.dtype) : other;
    const shape = broadcastShapes(op, this.shape, right.shape, this.context);
    return this.broadcastTo(shape).#apply(op, [right.broadcastTo(shape)]);
  }

  /** -x. */
  neg(): Tensor {
    return this.#apply("neg");
  }
  /** e to the x. */
  exp(): Tensor {
    return this.#apply("exp");
  }
  /** Natural logarithm. */
  log(): Tensor {
    return this.#apply("log");
  }
  /** Square root. */
  sqrt(): Tensor {
    return this.#apply("sqrt");
  }
  /** 1 / sqrt(x). */
  rsqrt(): Tensor {
    return this.#apply("rsqrt");
  }
  /** 1 / x. */
  reciprocal(): Tensor {
    return this.#apply("reciprocal");
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return this.#apply("tanh");
  }
  /** Error function. */
  erf(): Tensor {
    return this.#apply("erf");
  }
  /** |x|. */
  abs(): Tensor {
    return this.#apply("abs");
  }
  /** Sine of radians. */
  sin(): Tensor {
    return this.#apply("sin");
  }
  /** Cosine of radians. */
  cos(): Tensor {
    return this.#apply("cos");
  }
  /** Largest integer that is not above x. */
  floor(): Tensor {
    return this.#apply("floor");
  }
  /** False for NaN and infinities, as bool. */
  isFinite(): Tensor {
    return this.#apply("isFinite");
  }
  /** Logical negation of bool values. */
  not(): Tensor {
    return this.#apply("not");
  }

  /** x + other. */
  add(other: Operand): Tensor {
    return this.#binary("add", other);
  }
  /** x - other. */
  sub(other: Operand): Tensor {
    return this.#binary("sub", other);
  }
  /** x · other, element by element. */
  mul(other: Operand): Tensor {
    return this.#binary("mul", other);
  }
  /** x / other; integers truncate towards 0. */
  div(other: Operand): Tensor {
    return this.#binary("div", other);
  }
  /** The larger of both, element by element. */
  maximum(other: Operand): Tensor {
    return this.#binary("maximum", other);
  }
  /** The smaller of both, element by element. */
  minimum(other: Operand): Tensor {
    return this.#binary("minimum", other);
  }
  /** x to the power of other, for positive x. */
  pow(other: Operand): Tensor {
    return this.#binary("pow", other);
  }
  /** x = other, as bool. */
  eq(other: Operand): Tensor {
    return this.#binary("eq", other);
  }
  /** x ≠ other, as bool. */
  ne(other: Operand): Tensor {
    return this.#binary("ne", other);
  }
  /** x < other, as bool. */
  lt(other: Operand): Tensor {
    return this.#binary("lt", other);
  }
  /** x ≤ other, as bool. */
  le(other: Operand): Tensor {
    return this.#binary("le", other);
  }
  /** x > other, as bool. */
  gt(other: Operand): Tensor {
    return this.#binary("gt", other);
  }
  /** x ≥ other, as bool. */
  ge(other: Operand): Tensor {
    return this.#binary("ge", other);
  }
  /** Logical and of bool values. */
  and(other: Tensor): Tensor {
    return this.#binary("and", other);
  }
  /** Logical or of bool values. */
  or(other: Tensor): Tensor {
    return this.#binary("or", other);
  }

  /** This where `condition` holds, `other` elsewhere. */
  where(condition: Tensor, other: Operand): Tensor {
    const right = typeof other === "number" ? constant(other, this.dtype) : other;
    const both = broadcastShapes("select", this.shape, right.shape, this.context);
    const shape = broadcastShapes("select", both, condition.shape, this.context);
    return condition.broadcastTo(shape).#apply("select", [this.broadcastTo(shape), right.broadcastTo(shape)]);
  }

  /** The same values in another dtype; floats truncate towards 0 when they become integers. */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : this.#apply("cast", [], { dtype });
  }

  #axes(op: string, axes: number | readonly number[] | undefined): number[] {
    const rank = this.shape.length;
    const list = axes === undefined
      ? this.shape.map((_, axis) => axis)
      : typeof axes === "number"
      ? [axes]
      : axes;
    return list.map((axis) => {
      const positive = axis < 0 ? axis + rank : axis;
      if (!(positive >= 0 && positive < rank)) {
        throw this.#error(op, `axis ${axis} does not exist in shape [${this.shape}]`);
      }
      return positive;
    });
  }

  #error(op: string, problem: string): ShapeError {
    return new ShapeError(op, problem, this.context.origin().site);
  }

  #reduce(
    op: string,
    axes: number | readonly number[] | undefined,
    { keepDims = false }: ReduceOptions,
  ): Tensor {
    const list = this.#axes(op, axes);
    if (list.length === 0) return this;
    const reduced = this.#apply(op, [], { axes: list });
    return keepDims
      ? reduced.reshape(this.shape.map((size, axis) => list.includes(axis) ? 1 : size))
      : reduced;
  }

  /** Sum over `axes` (all by default). */
  sum(axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
    return this.#reduce("sum", axes, options);
  }
  /** Largest value over `axes` (all by default). */
  max(axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
    return this.#reduce("max", axes, options);
  }
  /** Mean over `axes` (all by default). */
  mean(axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
    if (!isFloat(this.dtype)) throw this.#error("mean", `expected float values but got ${this.dtype}`);
    const count = this.#axes("mean", axes).reduce((product, axis) => product * this.shape[axis], 1);
    return this.sum(axes, options).mul(1 / count);
  }
  /** Index (i32) of the first largest value along `axis`. */
  argmax(axis = -1): Tensor {
    return this.#apply("argmax", [], { axis: this.#axes("argmax", axis)[0] });
  }

  /** The same elements, row-major, in another shape; one size may be -1. */
  reshape(shape: Shape): Tensor {
    // A single -1 makes the product of all sizes negative.
    const missing = sizeOf(this.shape) / -sizeOf(shape);
    const full = Number.isInteger(missing) ? shape.map((size) => size === -1 ? missing : size) : shape;
    return full.join() === this.shape.join() ? this : this.#apply("reshape", [], { shape: full });
  }
  /** Axes in another order; reversed by default. */
  transpose(perm?: readonly number[]): Tensor {
    return this.#apply("transpose", [], {
      perm: perm ?? this.shape.map((_, axis) => this.shape.length - 1 - axis),
    });
  }
  /** Repeated along new leading axes and along axes of size 1. */
  broadcastTo(shape: Shape): Tensor {
    if (shape.join() === this.shape.join()) return this;
    const missing = shape.length - this.shape.length;
    const fits = missing >= 0 &&
      this.shape.every((size, axis) => size === 1 || size === shape[axis + missing]);
    if (!fits) throw this.#error("broadcast", `cannot broadcast [${this.shape}] to [${shape}]`);
    const aligned = [...new Array<number>(missing).fill(1), ...this.shape];
    return this.reshape(aligned).#broadcast(shape);
  }
  #broadcast(shape: Shape): Tensor {
    return shape.join() === this.shape.join() ? this : this.#apply("broadcast", [], { shape });
  }
  /** Elements from `starts` up to, not including, `ends`, for each axis. */
  slice(starts: readonly number[], ends: readonly number[]): Tensor {
    return this.#apply("slice", [], { starts, ends });
  }
  /** Zeros before and after, for each axis. */
  pad(before: readonly number[], after: readonly number[]): Tensor {
    return this.#apply("pad", [], { before, after });
  }
  /** Rows of this at `indices`: [...indices, ...rest]; a row outside is 0. */
  gather(indices: Tensor): Tensor {
    return this.#apply("gather", [indices]);
  }
  /** `rows` rows, row v the sum of those of this whose index is v; indices outside are dropped. */
  scatterAdd(indices: Tensor, rows: number): Tensor {
    return indices.#apply("scatterAdd", [this], { rows });
  }
  /**
   * This with row `indices[i]` replaced by `rows[i]`; indices outside are dropped, and no two may be equal. Works in place:
   * this must be a state input, and the result the output that donates to it; everything else would be copied for nothing.
   */
  setRows(indices: Tensor, rows: Tensor): Tensor {
    return this.#apply("setRows", [indices, rows]);
  }
  /** Stable ascending order (i32) of a list of i32. */
  argsort(): Tensor {
    return this.#apply("argsort");
  }
  /** For v below `size`, how many entries of this ascending list are less than v. */
  searchSorted(size: number): Tensor {
    return this.#apply("searchSorted", [], { size });
  }
  /** Row v: the sum of rows order[offsets[v]] to order[offsets[v + 1] - 1] of this. */
  segmentSum(order: Tensor, offsets: Tensor): Tensor {
    return this.#apply("segmentSum", [order, offsets]);
  }

  /** Batched product [..., M, K] x [..., K, N]; the flags transpose the last two axes of an operand. */
  matmul(
    other: Tensor,
    { transA = false, transB = false }: { transA?: boolean; transB?: boolean } = {},
  ): Tensor {
    if (this.shape.length < 2 || other.shape.length < 2) {
      throw this.#error("matmul", `cannot multiply [${this.shape}] by [${other.shape}]: two axes at least`);
    }
    const depth = this.shape[this.shape.length - 1];
    if (
      this.shape.length > 2 && other.shape.length === 2 && !transA && depth === other.shape[transB ? 1 : 0]
    ) {
      // The same matrix for all of the batch: one tall product, and so is its gradient.
      const leading = this.shape.slice(0, -1);
      const product = this.reshape([sizeOf(leading), depth]).matmul(other, { transB });
      return product.reshape([...leading, product.shape[1]]);
    }
    const [a, b] = [this.shape.slice(0, -2), other.shape.slice(0, -2)];
    const batch = broadcastShapes("matmul", a, b, this.context);
    const left = this.broadcastTo([...batch, ...this.shape.slice(-2)]);
    return left.#apply("matmul", [other.broadcastTo([...batch, ...other.shape.slice(-2)])], {
      transA,
      transB,
    });
  }

  /** Softmax over the last axis. */
  softmax(): Tensor {
    return this.#apply("softmax");
  }
  /** Logarithm of softmax over the last axis. */
  logSoftmax(): Tensor {
    return this.#apply("logSoftmax");
  }
  /** (x - mean) / sqrt(variance + eps) · gamma + beta over the last axis. */
  layerNorm(gamma: Tensor, beta: Tensor, eps = 1e-5): Tensor {
    return this.#apply("layerNorm", [gamma, beta], { eps });
  }
  /** GELU in its tanh form (Hendrycks and Gimpel 2016). */
  gelu(): Tensor {
    return this.#apply("gelu");
  }
  /** Mean cross-entropy in nats of logits [N, V] against i32 targets [N]; columns from `classes` on cannot win. */
  crossEntropy(targets: Tensor, { classes = this.shape[1] }: { classes?: number } = {}): Tensor {
    return this.#apply("crossEntropy", [targets], { classes });
  }
  /** Mean cross-entropy of x·wᵀ, x [N, C] and w [V, C], without ever holding [N, V]. */
  linearCrossEntropy(
    w: Tensor,
    targets: Tensor,
    { classes = w.shape[0] }: { classes?: number } = {},
  ): Tensor {
    return this.#apply("linearCrossEntropy", [w, targets], { classes });
  }
}

/** The tensor of a node. */
export function fromNode(context: TraceContext, id: NodeId): Tensor {
  const { shape, dtype } = context.builder.nodes[id];
  return new Tensor(context, id, shape, dtype);
}

function broadcastShapes(op: string, a: Shape, b: Shape, context: TraceContext): Shape {
  const rank = Math.max(a.length, b.length);
  const [left, right] = [a, b].map((shape) => [...new Array<number>(rank - shape.length).fill(1), ...shape]);
  return left.map((size, axis) => {
    if (size === right[axis] || right[axis] === 1) return size;
    if (size === 1) return right[axis];
    throw new ShapeError(op, `shapes [${a}] and [${b}] do not fit`, context.origin().site);
  });
}

/**
 * A scalar constant.
 *
 * @example
 * ```ts
 * import { evaluate, constant, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ x }) => ({ y: constant(1, "f32").div(x) }), {
 *   x: { shape: [2], dtype: "f32", role: "batch" },
 * });
 * assertEquals(evaluate(graph, { x: [2, 4] }).y, Float64Array.of(0.5, 0.25));
 * ```
 */
export function constant(value: number, dtype: DType): Tensor {
  const context = currentContext("constant");
  return fromNode(context, context.add("constant", [], { value, dtype }));
}

/**
 * i32 tensor whose elements are their own index along `axis` (negative: from the end).
 *
 * @example
 * ```ts
 * import { evaluate, iota, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ x }) => ({ y: iota([3], 0).cast("f32").mul(x) }), {
 *   x: { shape: [], dtype: "f32", role: "scalar" },
 * });
 * assertEquals(evaluate(graph, { x: [10] }).y, Float64Array.of(0, 10, 20));
 * ```
 */
export function iota(shape: Shape, axis: number): Tensor {
  const context = currentContext("iota");
  return fromNode(context, context.add("iota", [], { shape, axis: axis < 0 ? axis + shape.length : axis }));
}

/**
 * `a` where `condition` holds, `b` elsewhere.
 *
 * @example
 * ```ts
 * import { evaluate, trace, where } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ x }) => ({ y: where(x.gt(0), x, 0) }), {
 *   x: { shape: [2], dtype: "f32", role: "batch" },
 * });
 * assertEquals(evaluate(graph, { x: [-2, 4] }).y, Float64Array.of(0, 4));
 * ```
 */
export function where(condition: Tensor, a: Tensor, b: Operand): Tensor {
  return a.where(condition, b);
}

/**
 * Tensors side by side along `axis` (negative: from the end); their other sizes are equal.
 *
 * @example
 * ```ts
 * import { evaluate, concat, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ x }) => ({ y: concat([x, x.mul(10)], 0) }), {
 *   x: { shape: [2], dtype: "f32", role: "batch" },
 * });
 * assertEquals(evaluate(graph, { x: [1, 2] }).y, Float64Array.of(1, 2, 10, 20));
 * ```
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const context = currentContext("concat");
  if (tensors.some((tensor) => tensor.context !== context)) {
    throw new ShapeError("concat", "the tensors belong to different traces", context.origin().site);
  }
  const along = axis < 0 ? axis + (tensors[0]?.shape.length ?? 0) : axis;
  return fromNode(context, context.add("concat", tensors.map((tensor) => tensor.id), { axis: along }));
}
