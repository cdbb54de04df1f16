/**
 * Leaves: ops without tensor operands. Random bits come from a counter, so they need no state: the same key, stream and
 * element always give the same word, on every device (Philox 4x32-10, Salmon et al. 2011).
 *
 * @module
 */
import type { DType } from "../dtype.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { OpSpec } from "./types.ts";

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/** High word of the 64-bit product of two words, put together from 16-bit halves: exact in float64. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + Math.floor(aLow * bLow / 2 ** 16);
  const other = middle % 2 ** 16 + aLow * bHigh;
  return aHigh * bHigh + Math.floor(middle / 2 ** 16) + Math.floor(other / 2 ** 16);
}

/** Word `index % 4` of Philox 4x32-10 at counter (index / 4, 0, stream, 0) under the key (key, 0). */
export function philox(index: number, stream: number, key: number): number {
  let [c0, c1, c2, c3] = [Math.floor(index / 4) >>> 0, 0, stream >>> 0, 0];
  let [k0, k1] = [key >>> 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, high1] = [multiplyHigh(MULTIPLIERS[0], c0), multiplyHigh(MULTIPLIERS[1], c2)];
    const [low0, low1] = [Math.imul(MULTIPLIERS[0], c0) >>> 0, Math.imul(MULTIPLIERS[1], c2) >>> 0];
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + KEY_STEPS[0]) >>> 0;
    k1 = (k1 + KEY_STEPS[1]) >>> 0;
  }
  return [c0, c1, c2, c3][index % 4];
}

/** The same function in WGSL, which has no 64-bit product either. */
export const PHILOX_WGSL = `fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let other = (middle & 0xffffu) + a_low * b_high;
  return a_high * b_high + (middle >> 16u) + (other >> 16u);
}
fn philox(index: u32, stream: u32, key: u32) -> u32 {
  var c = vec4<u32>(index / 4u, 0u, stream, 0u);
  var k = vec2<u32>(key, 0u);
  for (var round = 0u; round < ${ROUNDS}u; round++) {
    let high0 = multiply_high(${MULTIPLIERS[0]}u, c.x);
    let high1 = multiply_high(${MULTIPLIERS[1]}u, c.z);
    c = vec4<u32>(high1 ^ c.y ^ k.x, ${MULTIPLIERS[1]}u * c.z, high0 ^ c.w ^ k.y, ${MULTIPLIERS[0]}u * c.x);
    k += vec2<u32>(${KEY_STEPS[0]}u, ${KEY_STEPS[1]}u);
  }
  return c[index % 4u];
}
`;

/** WGSL has no literal for infinities and NaN, and a number that a dtype rounds would mean two things. */
function requireRepresentable(value: number, dtype: DType): void {
  const fits = dtype === "bool"
    ? value === 0 || value === 1
    : dtype === "i32"
    ? value === (value | 0)
    : dtype === "u32"
    ? value === value >>> 0
    : Number.isFinite(Math.fround(value));
  if (!fits) throw new Error(`${value} is no value of ${dtype}`);
}

/** The leaf rows of the op table. */
export const LEAVES: Record<string, OpSpec> = {
  input: {
    class: "leaf",
    infer: (_, { shape, dtype, role }) => {
      if (role === "scalar" && (shape as Shape).length > 0) throw new Error("a scalar input has shape []");
      return { shape: shape as Shape, dtype: dtype as DType };
    },
  },
  constant: {
    class: "leaf",
    infer: (_, { value, dtype }) => {
      requireRepresentable(value as number, dtype as DType);
      return { shape: [], dtype: dtype as DType };
    },
    evaluate: (_, { value }) => Float64Array.of(value as number),
  },
  iota: {
    class: "leaf",
    infer: (_, { shape, axis }) => {
      if (!((axis as number) >= 0 && (axis as number) < (shape as Shape).length)) {
        throw new Error(`axis ${axis} does not exist in shape [${shape}]`);
      }
      return { shape: shape as Shape, dtype: "i32" };
    },
    evaluate: (_, { axis }, { shape }) => {
      const inner = sizeOf(shape.slice((axis as number) + 1));
      const length = shape[axis as number];
      return Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.floor(i / inner) % length);
    },
  },
  random: {
    class: "leaf",
    cost: 60,
    infer: ([key], { shape }) => {
      if (key.dtype !== "u32") throw new Error(`the key is u32, not ${key.dtype}`);
      const [rows] = shape as Shape;
      const fits = key.shape.length === 0 || (key.shape.length === 1 && key.shape[0] === rows);
      if (!fits) {
        throw new Error(`a key of shape [${key.shape}] is neither a scalar nor one for each of ${rows} rows`);
      }
      return { shape: shape as Shape, dtype: "u32" };
    },
    evaluate: ([key], { stream }, { shape }) => {
      const each = key.shape.length === 0 ? sizeOf(shape) : sizeOf(shape.slice(1));
      return Float64Array.from(
        { length: sizeOf(shape) },
        (_, i) => philox(i % each, stream as number, key.data[Math.floor(i / each)]),
      );
    },
  },
};
