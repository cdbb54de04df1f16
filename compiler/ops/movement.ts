/**
 * Movement ops: the same elements at other indices. In kernels they become index arithmetic; only a concatenation needs
 * memory of its own, and even its pieces are written in place.
 *
 * @module
 */
import { type Shape, sizeOf } from "../shape.ts";
import type { HostTensor, OpSpec } from "./types.ts";

/** Strides of a row-major tensor, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

/** Fills a row-major result from `base + sum of index * stride` of a source. */
function stridedCopy(
  source: Float64Array,
  shape: Shape,
  strides: readonly number[],
  base: number,
): Float64Array {
  const result = new Float64Array(sizeOf(shape));
  const index = new Array<number>(shape.length).fill(0);
  let at = base;
  for (let i = 0; i < result.length; i++) {
    result[i] = source[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}

function list(value: unknown, rank: number, what: string): readonly number[] {
  const numbers = value as readonly number[];
  if (numbers.length !== rank) throw new Error(`${what} [${numbers}] must have ${rank} entries`);
  return numbers;
}

/** Copies a block into or out of a larger tensor. */
function copyBlock(
  from: HostTensor,
  into: Float64Array,
  shape: Shape,
  starts: readonly number[],
): void {
  const strides = stridesOf(shape);
  const base = starts.reduce((sum, start, axis) => sum + start * strides[axis], 0);
  const index = new Array<number>(from.shape.length).fill(0);
  let at = base;
  for (let i = 0; i < from.data.length; i++) {
    into[at] = from.data[i];
    for (let axis = from.shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < from.shape[axis]) break;
      at -= strides[axis] * from.shape[axis];
      index[axis] = 0;
    }
  }
}

/** The movement rows of the op table. */
export const MOVEMENT: Record<string, OpSpec> = {
  reshape: {
    class: "movement",
    infer: ([x], { shape }) => {
      if (sizeOf(shape as Shape) !== sizeOf(x.shape)) {
        throw new Error(`cannot give the ${sizeOf(x.shape)} elements of [${x.shape}] the shape [${shape}]`);
      }
      return { shape: shape as Shape, dtype: x.dtype };
    },
    evaluate: ([x]) => x.data,
    vjp: (g, _, [x]) => [g.reshape(x.shape)],
  },
  transpose: {
    class: "movement",
    infer: ([x], { perm }) => {
      const axes = list(perm, x.shape.length, "perm");
      if ([...axes].sort((a, b) => a - b).some((axis, i) => axis !== i)) {
        throw new Error(`perm [${axes}] is no permutation of ${x.shape.length} axes`);
      }
      return { shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype };
    },
    evaluate: ([x], { perm }, { shape }) => {
      const strides = stridesOf(x.shape);
      return stridedCopy(x.data, shape, (perm as number[]).map((axis) => strides[axis]), 0);
    },
    vjp: (g, _, __, { perm }) => {
      const inverse: number[] = [];
      (perm as number[]).forEach((axis, i) => inverse[axis] = i);
      return [g.transpose(inverse)];
    },
  },
  broadcast: {
    class: "movement",
    infer: ([x], { shape }) => {
      const wanted = list(shape, x.shape.length, "shape");
      if (x.shape.some((size, axis) => size !== wanted[axis] && size !== 1)) {
        throw new Error(`cannot broadcast [${x.shape}] to [${wanted}]`);
      }
      return { shape: wanted, dtype: x.dtype };
    },
    evaluate: ([x], _, { shape }) => {
      const strides = stridesOf(x.shape).map((stride, axis) => x.shape[axis] === 1 ? 0 : stride);
      return stridedCopy(x.data, shape, strides, 0);
    },
    vjp: (g, _, [x]) => {
      const axes = g.shape.map((_, axis) => axis).filter((axis) => x.shape[axis] !== g.shape[axis]);
      return [axes.length === 0 ? g : g.sum(axes, { keepDims: true })];
    },
  },
  slice: {
    class: "movement",
    infer: ([x], attrs) => {
      const starts = list(attrs.starts, x.shape.length, "starts");
      const ends = list(attrs.ends, x.shape.length, "ends");
      x.shape.forEach((size, axis) => {
        if (starts[axis] < 0 || starts[axis] >= ends[axis] || ends[axis] > size) {
          throw new Error(`no range ${starts[axis]} to ${ends[axis]} on axis ${axis} of shape [${x.shape}]`);
        }
      });
      return { shape: starts.map((start, axis) => ends[axis] - start), dtype: x.dtype };
    },
    evaluate: ([x], { starts }, { shape }) => {
      const strides = stridesOf(x.shape);
      const base = (starts as number[]).reduce((sum, start, axis) => sum + start * strides[axis], 0);
      return stridedCopy(x.data, shape, strides, base);
    },
    vjp: (g, _, [x], { starts, ends }) => [
      g.pad(starts as number[], x.shape.map((size, axis) => size - (ends as number[])[axis])),
    ],
  },
  pad: {
    class: "movement",
    infer: ([x], attrs) => {
      const before = list(attrs.before, x.shape.length, "before");
      const after = list(attrs.after, x.shape.length, "after");
      if ([...before, ...after].some((size) => size < 0)) throw new Error("padding cannot be negative");
      return { shape: x.shape.map((size, axis) => before[axis] + size + after[axis]), dtype: x.dtype };
    },
    evaluate: ([x], { before }, { shape }) => {
      const result = new Float64Array(sizeOf(shape));
      copyBlock(x, result, shape, before as number[]);
      return result;
    },
    vjp: (g, _, [x], { before }) => [
      g.slice(before as number[], x.shape.map((size, axis) => (before as number[])[axis] + size)),
    ],
  },
  concat: {
    class: "movement",
    infer: (inputs, { axis }) => {
      const [first] = inputs;
      if (!first) throw new Error("needs at least one tensor");
      const along = axis as number;
      if (!(along >= 0 && along < first.shape.length)) {
        throw new Error(`axis ${along} does not exist in shape [${first.shape}]`);
      }
      for (const { shape, dtype } of inputs) {
        const fits = dtype === first.dtype && shape.length === first.shape.length &&
          shape.every((size, i) => i === along || size === first.shape[i]);
        if (!fits) {
          throw new Error(
            `${dtype}[${shape}] does not fit ${first.dtype}[${first.shape}] along axis ${along}`,
          );
        }
      }
      const total = inputs.reduce((sum, { shape }) => sum + shape[along], 0);
      return { shape: first.shape.map((size, i) => i === along ? total : size), dtype: first.dtype };
    },
    evaluate: (inputs, { axis }, { shape }) => {
      const result = new Float64Array(sizeOf(shape));
      let offset = 0;
      for (const input of inputs) {
        copyBlock(input, result, shape, shape.map((_, i) => i === axis ? offset : 0));
        offset += input.shape[axis as number];
      }
      return result;
    },
    vjp: (g, _, inputs, { axis }) => {
      let offset = 0;
      return inputs.map((input) => {
        const starts = g.shape.map((_, i) => i === axis ? offset : 0);
        offset += input.shape[axis as number];
        return g.slice(starts, g.shape.map((size, i) => i === axis ? offset : size));
      });
    },
  },
};
