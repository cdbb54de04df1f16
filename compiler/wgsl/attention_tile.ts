/**
 * The seam between the attention templates and the rest of the compiler: the templates decide tiles, registers and
 * loops; hooks read operand elements (through any view, cast or other prologue) and store results.
 *
 * With q, k, v of one head, `s[i, j] = scale * dot(q[i], k[j])` over the visible keys j, `lse[i] = log(sum exp(s[i]))`,
 * `p = exp(s - lse)` and `o = p v`. The templates never hold more of `s` than one tile of it (FlashAttention: Dao et al.
 * 2022, arXiv:2205.14135; its backward by rows and by columns: FlashAttention-2, arXiv:2307.08691).
 *
 * @module
 */
import type { KernelText } from "./kernel_text.ts";
import type { Writer } from "./writer.ts";

/** Sizes of one batched attention. All products are accumulated in f32. */
export interface AttentionShape {
  /** Independent problems: batch times heads. */
  readonly batch: number;
  /** Rows of q, o, dO and dq. */
  readonly queries: number;
  /** Rows of k, v, dk and dv. */
  readonly keys: number;
  /** Channels of every operand and result. */
  readonly width: number;
  /** Whether query i sees only keys j <= i; both are positions counted from 0. */
  readonly causal: boolean;
  /** Factor on the products of queries and keys. */
  readonly scale: number;
}

/** WGSL `u32` expressions naming four consecutive channels of one row. */
export interface AttentionPosition {
  readonly batch: string;
  readonly row: string;
  readonly col: string;
}

/** WGSL `u32` expressions naming one row. */
export type AttentionRow = Pick<AttentionPosition, "batch" | "row">;

/** What a kernel reads by channels: queries, keys, values, and the gradient of the output. */
export type AttentionOperand = "q" | "k" | "v" | "g";

/** What a kernel writes by channels. */
export type AttentionResult = "o" | "dq" | "dk" | "dv";

/**
 * How a template reads and writes. Rows that reach a hook lie inside the operand or result, and so does the first of
 * four channels, whose index is a multiple of 4. The others may lie past `width`: a load may then give anything finite
 * or not, as long as it reads inside the buffer; a store must skip them.
 * Hooks may append statements to `w` before returning their expression.
 */
export interface AttentionHooks {
  /** Called once, outside of all loops, where `batch` names the problem: to name what hooks compute from it alone. */
  begin?(w: Writer, batch: string): void;
  /** `vec4<f32>` of an operand at (batch, row, col..col+3). */
  load(w: Writer, operand: AttentionOperand, at: AttentionPosition): string;
  /** `f32` of the rows' logarithmic sums, or of `delta[i] = dot(dO[i], o[i])`. Only gradients read them. */
  loadRow(w: Writer, operand: "lse" | "delta", at: AttentionRow): string;
  /** Stores the `vec4<f32>` expression `value` at (batch, row, col..col+3). */
  store(w: Writer, result: AttentionResult, at: AttentionPosition, value: string): void;
  /** Stores the `f32` expression `value` as the logarithmic sum of a row. */
  storeRow(w: Writer, result: "lse", at: AttentionRow, value: string): void;
}

/** The three kernels of attention: o and lse by rows of queries, dq by rows of queries, dk and dv by rows of keys. */
export type AttentionKind = "forward" | "gradQ" | "gradKV";

/** What a template produces; its statements may use the builtins named in `BUILTINS` of `wgsl/module.ts`. */
export type AttentionKernel = KernelText;
