/**
 * Ops whose addresses are data. Rows are read by `gather` and overwritten in place by `setRows`. Adding rows at repeated places goes through a stable sort of the indices, so that every
 * sum has one order: no atomics, the same bits each time.
 *
 * @module
 */
import { bytesPerElement } from "../dtype.ts";
import type { TensorType } from "../graph.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { OpSpec } from "./types.ts";

function requireIndices(type: TensorType, rank?: number): void {
  if (type.dtype !== "i32" && type.dtype !== "u32") {
    throw new Error(`indices must be i32 or u32, not ${type.dtype}`);
  }
  if (rank !== undefined && type.shape.length !== rank) {
    throw new Error(`indices of shape [${type.shape}] must have ${rank} axes`);
  }
}

/** The indexed rows of the op table. */
export const INDEXED: Record<string, OpSpec> = {
  gather: {
    class: "indexed",
    infer: ([table, indices]) => {
      requireIndices(indices);
      if (table.shape.length === 0) throw new Error("cannot gather from a scalar");
      return { shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype };
    },
    evaluate: ([table, indices], _, { shape }) => {
      const width = sizeOf(table.shape.slice(1));
      const result = new Float64Array(sizeOf(shape));
      indices.data.forEach((row, i) => {
        if (row < 0 || row >= table.shape[0]) return;
        result.set(table.data.subarray(row * width, (row + 1) * width), i * width);
      });
      return result;
    },
    vjp: (g, _, [table, indices]) => {
      const count = sizeOf(indices.shape);
      const updates = g.reshape([count, ...table.shape.slice(1)]);
      return [updates.scatterAdd(indices.reshape([count]), table.shape[0]), undefined];
    },
  },
  setRows: {
    class: "indexed",
    infer: ([table, indices, rows]) => {
      requireIndices(indices, 1);
      if (table.shape.length === 0) throw new Error("a scalar has no rows");
      const expected = [indices.shape[0], ...table.shape.slice(1)];
      if (rows.dtype !== table.dtype || String(rows.shape) !== String(expected)) {
        throw new Error(`rows must be ${table.dtype}[${expected}], not ${rows.dtype}[${rows.shape}]`);
      }
      return { shape: table.shape, dtype: table.dtype };
    },
    evaluate: ([table, indices, rows]) => {
      const width = sizeOf(table.shape.slice(1));
      const result = Float64Array.from(table.data);
      indices.data.forEach((row, i) => {
        if (row < 0 || row >= table.shape[0]) return;
        result.set(rows.data.subarray(i * width, (i + 1) * width), row * width);
      });
      return result;
    },
  },
  argsort: {
    class: "indexed",
    infer: ([keys]) => {
      if (keys.dtype !== "i32" || keys.shape.length !== 1) {
        throw new Error(`keys must be i32[n], not ${keys.dtype}[${keys.shape}]`);
      }
      return { shape: keys.shape, dtype: "i32" };
    },
    evaluate: ([keys]) => {
      const order = Array.from(keys.data.keys());
      return Float64Array.from(order.sort((a, b) => keys.data[a] - keys.data[b] || a - b));
    },
  },
  searchSorted: {
    class: "indexed",
    infer: ([sorted], { size }) => {
      if (sorted.dtype !== "i32" || sorted.shape.length !== 1) throw new Error("entries must be i32[n]");
      return { shape: [size as number], dtype: "i32" };
    },
    evaluate: ([sorted], { size }) => {
      let below = 0;
      return Float64Array.from({ length: size as number }, (_, value) => {
        while (below < sorted.data.length && sorted.data[below] < value) below++;
        return below;
      });
    },
  },
  segmentSum: {
    class: "indexed",
    infer: ([updates, order, offsets]) => {
      requireIndices(order, 1);
      requireIndices(offsets, 1);
      if (updates.shape[0] !== order.shape[0]) {
        throw new Error(`${updates.shape[0]} updates do not fit an order of ${order.shape[0]}`);
      }
      return { shape: [offsets.shape[0] - 1, ...updates.shape.slice(1)], dtype: updates.dtype };
    },
    evaluate: ([updates, order, offsets], _, { shape }) => {
      const width = sizeOf(shape.slice(1));
      const result = new Float64Array(sizeOf(shape));
      for (let row = 0; row < shape[0]; row++) {
        for (let at = offsets.data[row]; at < offsets.data[row + 1]; at++) {
          const from = order.data[at] * width;
          for (let c = 0; c < width; c++) result[row * width + c] += updates.data[from + c];
        }
      }
      return result;
    },
  },
  scatterAdd: {
    class: "composite",
    infer: ([indices, updates], { rows }) => {
      requireIndices(indices, 1);
      if (updates.shape[0] !== indices.shape[0]) {
        throw new Error(`${updates.shape[0]} updates do not fit ${indices.shape[0]} indices`);
      }
      return { shape: [rows as number, ...updates.shape.slice(1)] as Shape, dtype: updates.dtype };
    },
    vjp: (g, _, [indices]) => [undefined, g.gather(indices)],
    decompose: ([indices, updates], { rows }, target) => {
      const count = indices.shape[0];
      const rest = updates.shape.slice(1);
      // Sorting compares every pair, and one invocation sums a segment: both are loops as long as the indices.
      // It may read any update, so one binding must cover all of a part, from the aligned offset before it.
      const rowBytes = sizeOf(rest) * bytesPerElement(updates.dtype);
      const bound = Math.floor((target.maxBindingBytes - target.bindingAlignment) / Math.max(1, rowBytes));
      const most = Math.max(1, Math.min(target.maxLoopIterations, 65_535, bound));
      let total: typeof updates | undefined;
      for (let start = 0; start < count; start += most) {
        const end = Math.min(count, start + most);
        const keys = indices.slice([start], [end]).cast("i32");
        const order = keys.argsort();
        const offsets = keys.gather(order).searchSorted((rows as number) + 1);
        const part = updates.slice([start, ...rest.map(() => 0)], [end, ...rest]).segmentSum(order, offsets);
        total = total ? total.add(part) : part;
      }
      return total!;
    },
  },
};
