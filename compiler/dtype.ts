/**
 * The element types of tensors, and what each costs in memory.
 *
 * A `bool` is stored as a `u32` (WGSL's `bool` is not host-shareable), so it takes four bytes in a buffer. WGSL has no
 * `bf16` (the upper half of an f32): two share a word, and kernels unpack them with integer arithmetic.
 *
 * @module
 */

/** Element type of a tensor. */
export type DType = "f32" | "f16" | "bf16" | "i32" | "u32" | "bool";

/** Every dtype, in the order in which the documentation lists them. */
export const DTYPES: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "bool"];

/** Bytes that one element of `dtype` takes in a storage buffer. */
export function bytesPerElement(dtype: DType): number {
  return isHalf(dtype) ? 2 : 4;
}

/** True for the dtypes that carry gradients. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || isHalf(dtype);
}

/** True for the floats of two bytes, all of whose values f32 has. */
export function isHalf(dtype: DType): boolean {
  return dtype === "f16" || dtype === "bf16";
}
