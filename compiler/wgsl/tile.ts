/**
 * The seam between the matmul template and the rest of the compiler: the template decides tiles, registers and loops;
 * hooks read operand elements (through any view, cast or other prologue) and store results (through any epilogue).
 *
 * The product is C[z, row, col] = sum over k of A[z, row, k] * B[z, k, col], accumulated in f32.
 *
 * @module
 */
import type { KernelText } from "./kernel_text.ts";
import type { Writer } from "./writer.ts";

/** Sizes of one batched product, and along which axis each operand is contiguous in memory. */
export interface MatmulShape {
  readonly batch: number;
  readonly rows: number;
  readonly cols: number;
  readonly depth: number;
  /** `depth`: four consecutive k are one load. `rows`: four consecutive rows are. */
  readonly aContiguous: "depth" | "rows";
  /** `depth`: four consecutive k are one load. `cols`: four consecutive columns are. */
  readonly bContiguous: "depth" | "cols";
}

/** WGSL `u32` expressions naming one element of an operand or of the result. */
export interface TilePosition {
  readonly batch: string;
  readonly row: string;
  readonly col: string;
  readonly depth: string;
}

/**
 * How a template reads and writes. Templates clamp and guard positions so that the first element of a vec4 lies inside
 * the operand or the result; the following ones may lie past the end. A load may then give anything for elements past
 * `rows`, `cols` or `depth`, as long as it reads inside the buffer; a store must skip them.
 * Hooks may append statements to `w` before returning their expression.
 */
export interface TileHooks {
  /** `vec4<f32>` of A at (batch, row, depth..depth+3), or at (batch, row..row+3, depth) when contiguous in rows. */
  loadA(w: Writer, at: Pick<TilePosition, "batch" | "row" | "depth">): string;
  /** `f32` of A at (batch, row, depth), for templates that have lanes load one number each. */
  loadScalarA?(w: Writer, at: Pick<TilePosition, "batch" | "row" | "depth">): string;
  /** `vec4<f32>` of B at (batch, col, depth..depth+3), or at (batch, col..col+3, depth) when contiguous in columns. */
  loadB(w: Writer, at: Pick<TilePosition, "batch" | "col" | "depth">): string;
  /** Stores the `vec4<f32>` expression `value` at (batch, row, col..col+3). */
  store(w: Writer, at: Pick<TilePosition, "batch" | "row" | "col">, value: string): void;
  /**
   * Stores the `vec4<f32>` expression `value`, the sums over all depths of B, at (batch, col..col+3). Absent where nobody
   * wants them.
   */
  storeColumnSums?(w: Writer, at: Pick<TilePosition, "batch" | "col">, value: string): void;
}

/** What a template produces; its statements may use the builtins named in `BUILTINS` of `wgsl/module.ts`. */
export type TileKernel = KernelText;
