/**
 * Floats of 16 bits, two to a word: four neighbours are a `vec2<u32>`.
 *
 * bf16, which WGSL does not know, is always kept so. f16 is on software adapters: lavapipe converts `vec4<f16>` lane by
 * lane, so that kernels with it compile four times as slowly as f32's. GPUs have f16 of their own, and may round
 * differently when they pack. Measured on lavapipe with 16 lanes (best of many, products of 512x768x768 and 512x768x3072
 * and elementwise kernels on 4096x768, times relative to f32): f16 unpacked 1.03-1.11 and 1.3; f16 packed 0.79-1.09 and
 * 1.0-1.25; bf16 0.74-0.94 and 0.6-0.76.
 *
 * Two invocations cannot each store half a word, so an f16 binding is packed only if every store to it writes four
 * neighbours at once, and a bf16 tensor that is written otherwise is refused.
 *
 * @module
 */
import { type DType, isHalf } from "../dtype.ts";

/** What the expressions below call; a module that calls it needs it. A bf16 NaN keeps a bit that is not shifted out. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  unpackF16: `fn unpackF16(v: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}
`,
  packF16: `fn packF16(v: vec4<f32>) -> vec2<u32> {
  return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}
`,
  unpackBf16: `fn unpackBf16(v: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(v.x << 16u, v.x & 0xffff0000u, v.y << 16u, v.y & 0xffff0000u));
}
`,
  packBf16: `fn packBf16(v: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(v);
  let upper = bits >> vec4<u32>(16u);
  let rounded = (bits + vec4<u32>(0x7fffu) + (upper & vec4<u32>(1u))) >> vec4<u32>(16u);
  let isNan = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
  let r = select(rounded, upper | vec4<u32>(0x40u), isNan);
  return vec2<u32>(r.x | (r.y << 16u), r.z | (r.w << 16u));
}
`,
};

/** Declarations of the functions that a text calls. */
export function packedFunctions(text: string): string {
  return Object.keys(FUNCTIONS).filter((name) => text.includes(`${name}(`)).map((name) => FUNCTIONS[name])
    .join("");
}

/** Whether tensors of a dtype are kept as words where their accesses allow it. */
export function isPackable(dtype: DType, software: boolean): boolean {
  return dtype === "bf16" || (software && isHalf(dtype));
}

function suffix(dtype: DType): string {
  return dtype === "bf16" ? "Bf16" : "F16";
}

/** Two words as a `vec4<f32>`. */
export function unpacked(words: string, dtype: DType): string {
  return `unpack${suffix(dtype)}(${words})`;
}

/** A `vec4<f32>` as two words, rounded to the nearest. */
export function packed(value: string, dtype: DType): string {
  return `pack${suffix(dtype)}(${value})`;
}

/** Element `at` (counted in numbers) of a packed binding, as f32. */
export function packedElement(binding: string, at: string, dtype: DType): string {
  const word = `${binding}[${at} / 4u][${at} % 4u / 2u]`;
  if (dtype === "f16") return `unpack2x16float(${word})[${at} % 2u]`;
  return `bitcast<f32>((${word} >> (${at} % 2u * 16u)) << 16u)`;
}

/** A value in f32 rounded to what a packed dtype holds. */
export function roundedTo(dtype: DType, text: string, lanes: 1 | 4): string {
  if (lanes === 4) return unpacked(packed(text, dtype), dtype);
  if (dtype === "f16") return `unpack2x16float(pack2x16float(vec2<f32>(${text}, 0.0))).x`;
  return `${unpacked(packed(`vec4<f32>(${text})`, dtype), dtype)}.x`;
}
