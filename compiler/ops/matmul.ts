/**
 * The contraction: batched matrix products, with transposes as flags so that no operand is ever copied to be transposed.
 *
 * @module
 */
import { isFloat } from "../dtype.ts";
import { sizeOf } from "../shape.ts";
import type { OpSpec } from "./types.ts";

/** One row of a product with B as [depth, cols]: adds up scaled rows of B, so that memory is read in order. */
function multiplyPlain(
  a: Float64Array,
  start: number,
  stride: number,
  depth: number,
  b: Float64Array,
  row: Float64Array,
): void {
  const cols = row.length;
  for (let k = 0; k < depth; k++) {
    const left = a[start + k * stride];
    for (let n = 0, from = k * cols; n < cols; n++, from++) row[n] += left * b[from];
  }
}

/** One row of a product with B as [cols, depth]: dot products with the rows of B. */
function multiplyTransposed(
  a: Float64Array,
  start: number,
  stride: number,
  depth: number,
  b: Float64Array,
  row: Float64Array,
): void {
  for (let n = 0; n < row.length; n++) {
    let sum = 0;
    for (let k = 0, at = start, from = n * depth; k < depth; k++, at += stride, from++) {
      sum += a[at] * b[from];
    }
    row[n] = sum;
  }
}

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
      const multiply = transB ? multiplyTransposed : multiplyPlain;
      const result = new Float64Array(sizeOf(shape));
      for (let z = 0; z < result.length / (rows * cols); z++) {
        const right = b.data.subarray(z * depth * cols, (z + 1) * depth * cols);
        for (let m = 0; m < rows; m++) {
          const to = (z * rows + m) * cols;
          multiply(a.data, z * rows * depth + m * aRow, aDepth, depth, right, result.subarray(to, to + cols));
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
