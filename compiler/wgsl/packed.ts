/**
 * f16 for software adapters. lavapipe converts `vec4<f16>` lane by lane: kernels with it compile four times as slowly as
 * f32's and elementwise ones run at half the speed of those that read words and unpack them. So there, four neighbours
 * are a `vec2<u32>`, two numbers to a word. GPUs have f16 of their own, and may round differently when they pack.
 *
 * Two neighbours cannot be stored to one word by two invocations, so a binding is packed only if every store to it writes
 * four neighbours at once.
 *
 * @module
 */

/** What the expressions below call; a module that calls it needs it. */
export const PACKED_WGSL = `fn unpackHalf(v: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}
fn packHalf(v: vec4<f32>) -> vec2<u32> {
  return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}
`;

/** True for a text that calls functions of {@link PACKED_WGSL}. */
export function usesPacked(text: string): boolean {
  return /\b(un)?packHalf\(/.test(text);
}

/** Element `at` (counted in numbers) of a packed binding, as f32. */
export function packedElement(binding: string, at: string): string {
  return `unpack2x16float(${binding}[${at} / 4u][${at} % 4u / 2u])[${at} % 2u]`;
}

/** A value in f32 rounded to what f16 holds. */
export function roundedToHalf(text: string, lanes: 1 | 4): string {
  if (lanes === 4) return `unpackHalf(packHalf(${text}))`;
  return `unpack2x16float(pack2x16float(vec2<f32>(${text}, 0.0))).x`;
}
