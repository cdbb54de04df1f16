/**
 * Reductions: sum, maximum, and the place of the maximum. Reduced axes are dropped from the shape.
 *
 * @module
 */
import type { TensorType } from "../graph.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { stridesOf } from "./movement.ts";
import type { HostTensor, OpSpec } from "./types.ts";

function checkedAxes(shape: Shape, axes: readonly number[]): void {
  axes.forEach((axis, i) => {
    if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length) {
      throw new Error(`axis ${axis} does not exist in shape [${shape}]`);
    }
    if (axes.indexOf(axis) !== i) throw new Error(`axis ${axis} is named twice`);
  });
}

function dropAxes(x: TensorType, axes: readonly number[]): TensorType {
  checkedAxes(x.shape, axes);
  if (x.dtype === "bool") throw new Error("cannot reduce bool values: cast them first");
  return { shape: x.shape.filter((_, axis) => !axes.includes(axis)), dtype: x.dtype };
}

/** Calls `visit(result, source)` with linear positions, for every element of the source in order. */
function forEachReduced(
  x: HostTensor,
  axes: readonly number[],
  visit: (to: number, from: number) => void,
): void {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const keptStrides = stridesOf(kept.map((axis) => x.shape[axis]));
  const strides = x.shape.map((_, axis) => axes.includes(axis) ? 0 : keptStrides[kept.indexOf(axis)]);
  const index = new Array<number>(x.shape.length).fill(0);
  let to = 0;
  for (let from = 0; from < x.data.length; from++) {
    visit(to, from);
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      to += strides[axis];
      if (++index[axis] < x.shape[axis]) break;
      to -= strides[axis] * x.shape[axis];
      index[axis] = 0;
    }
  }
}

/** A reduced tensor stretched back over the axes that the reduction dropped. */
function restore(reduced: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  return reduced.reshape(shape.map((size, axis) => axes.includes(axis) ? 1 : size)).broadcastTo(shape);
}

/** The reduction rows of the op table. */
export const REDUCE: Record<string, OpSpec> = {
  sum: {
    class: "reduce",
    infer: ([x], { axes }) => dropAxes(x, axes as number[]),
    evaluate: ([x], { axes }, { shape, dtype }) => {
      const result = new Float64Array(sizeOf(shape));
      forEachReduced(x, axes as number[], (to, from) => result[to] += x.data[from]);
      return dtype === "i32"
        ? result.map((v) => v | 0)
        : dtype === "u32"
        ? result.map((v) => v >>> 0)
        : result;
    },
    vjp: (g, _, [x], { axes }) => [restore(g, x.shape, axes as number[])],
  },
  max: {
    class: "reduce",
    infer: ([x], { axes }) => dropAxes(x, axes as number[]),
    evaluate: ([x], { axes }, { shape }) => {
      const result = new Float64Array(sizeOf(shape)).fill(-Infinity);
      forEachReduced(x, axes as number[], (to, from) => result[to] = Math.max(result[to], x.data[from]));
      return result;
    },
    // Equal maxima share the cotangent, so that the result does not depend on their order.
    vjp: (g, y, [x], { axes }) => {
      const reduced = axes as number[];
      const hit = x.eq(restore(y, x.shape, reduced)).cast(x.dtype);
      return [restore(g.div(hit.sum(reduced)), x.shape, reduced).mul(hit)];
    },
  },
  argmax: {
    class: "reduce",
    infer: ([x], { axis }) => ({ shape: dropAxes(x, [axis as number]).shape, dtype: "i32" }),
    evaluate: ([x], { axis }, { shape }) => {
      const along = axis as number;
      const inner = sizeOf(x.shape.slice(along + 1));
      const best = new Float64Array(sizeOf(shape)).fill(-Infinity);
      const result = new Float64Array(sizeOf(shape));
      forEachReduced(x, [along], (to, from) => {
        if (x.data[from] <= best[to]) return;
        best[to] = x.data[from];
        result[to] = Math.floor(from / inner) % x.shape[along];
      });
      return result;
    },
  },
};
