/**
 * The element types of tensors, and what each costs in memory.
 *
 * A `bool` is stored as a `u32` (WGSL's `bool` is not host-shareable), so it takes four bytes in a buffer.
 *
 * @module
 */

/** Element type of a tensor. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

/** Every dtype, in the order in which the documentation lists them. */
export const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];

/** Bytes that one element of `dtype` takes in a storage buffer. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

/** True for the dtypes that carry gradients. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}
