/**
 * The contraction: batched matrix products, with transposes as flags so that no operand is ever copied to be transposed.
 *
 * @module
 */
import { isFloat } from "../dtype.ts";
import { sizeOf } from "../graph.ts";
import type { OpSpec } from "./types.ts";

/** The contraction rows of the op table. */
export const CONTRACTION: Record<string, OpSpec> = {
  matmul: {
    class: "contraction",
    infer: ([a, b], { transA, transB }) => {
      const rank = a.shape.length;
      if (rank < 2 || b.shape.length !== rank) {
        throw new Error(`operands [${a.shape}] and [${b.shape}] need the same number of axes, two at least`);
      }
      if (a.dtype !== b.dtype || !isFloat(a.dtype)) {
        throw new Error(`cannot multiply ${a.dtype} by ${b.dtype}`);
      }
      const batch = a.shape.slice(0, -2);
      const [rows, depthA] = transA
        ? [a.shape[rank - 1], a.shape[rank - 2]]
        : [a.shape[rank - 2], a.shape[rank - 1]];
      const [depthB, cols] = transB
        ? [b.shape[rank - 1], b.shape[rank - 2]]
        : [b.shape[rank - 2], b.shape[rank - 1]];
      if (depthA !== depthB || batch.join() !== b.shape.slice(0, -2).join()) {
        const flags = `${transA ? " (a transposed)" : ""}${transB ? " (b transposed)" : ""}`;
        throw new Error(`cannot multiply [${a.shape}] by [${b.shape}]${flags}`);
      }
      return { shape: [...batch, rows, cols], dtype: a.dtype };
    },
    evaluate: ([a, b], { transA, transB }, { shape }) => {
      const rank = shape.length;
      const [rows, cols] = [shape[rank - 2], shape[rank - 1]];
      const depth = transA ? a.shape[rank - 2] : a.shape[rank - 1];
      const [aRow, aDepth] = transA ? [1, rows] : [depth, 1];
      const [bDepth, bCol] = transB ? [1, depth] : [cols, 1];
      const result = new Float64Array(sizeOf(shape));
      for (let z = 0; z < result.length / (rows * cols); z++) {
        const [aBase, bBase, base] = [z * rows * depth, z * depth * cols, z * rows * cols];
        for (let m = 0; m < rows; m++) {
          for (let k = 0; k < depth; k++) {
            const left = a.data[aBase + m * aRow + k * aDepth];
            const from = bBase + k * bDepth;
            const to = base + m * cols;
            for (let n = 0; n < cols; n++) result[to + n] += left * b.data[from + n * bCol];
          }
        }
      }
      return result;
    },
    // With C = A·B: dA = dC·Bᵀ and dB = Aᵀ·dC; a transposed operand transposes its gradient.
    vjp: (g, _, [a, b], { transA, transB }) => [
      transA ? b.matmul(g, { transA: transB as boolean, transB: true }) : g.matmul(b, { transB: !transB }),
      transB ? g.matmul(a, { transA: true, transB: transA as boolean }) : a.matmul(g, { transA: !transA }),
    ],
  },
};
