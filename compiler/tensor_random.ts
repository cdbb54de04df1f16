/**
 * Random tensors. They follow from a key and a counter alone, so the same key gives the same numbers on every device.
 *
 * @module
 */
import type { Shape } from "./graph.ts";
import { fromNode, type Tensor } from "./tensor.ts";

/**
 * Random u32 words; `stream` tells the draws of one program apart, `key` (u32 scalar) its runs. With a key for each row
 * (u32 [rows]) a row has the words that it would have alone.
 */
export function randomBits(key: Tensor, shape: Shape, stream: number): Tensor {
  return fromNode(key.context, key.context.add("random", [key.id], { shape, stream }));
}

/** Uniform f32 in [0, 1): multiples of 2^-24. */
export function randomUniform(key: Tensor, shape: Shape, stream: number): Tensor {
  return randomBits(key, shape, stream).div(256).cast("f32").mul(2 ** -24);
}

/**
 * Standard normal f32 by Box and Muller (1958); uses streams `2 * stream` and `2 * stream + 1`.
 *
 * @example
 * ```ts
 * import { evaluate, randomNormal, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ key }) => ({ noise: randomNormal(key, [4], 0) }), {
 *   key: { shape: [], dtype: "u32", role: "scalar" },
 * });
 * assertEquals(evaluate(graph, { key: [7] }), evaluate(graph, { key: [7] })); // the same key, the same noise
 * ```
 */
export function randomNormal(key: Tensor, shape: Shape, stream: number): Tensor {
  const radius = randomUniform(key, shape, 2 * stream).neg().add(1).log().mul(-2).sqrt();
  const angle = randomUniform(key, shape, 2 * stream + 1).mul(2 * Math.PI);
  return radius.mul(angle.cos());
}
