/**
 * Attention as a function of tensors: among the tokens at hand, and to a cache.
 *
 * @module
 */
import type { Tensor } from "./tensor.ts";

/**
 * softmax(q·kᵀ·scale)·v over heads [B, H, T, D]; causal: a query sees keys up to its own position.
 *
 * @example
 * ```ts
 * import { attention, trace } from "@sinter/sinter/compiler";
 * const heads = { shape: [2, 4, 16, 8], dtype: "f32", role: "batch" } as const;
 * const graph = trace(({ q, k, v }) => ({ y: attention(q, k, v, { causal: false }) }), { q: heads, k: heads, v: heads });
 * ```
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { causal = true, scale = 1 / Math.sqrt(q.shape[q.shape.length - 1]) }: {
    causal?: boolean;
    scale?: number;
  } = {},
): Tensor {
  return q.composite("attention", [k, v], { causal, scale });
}

/**
 * Attention of queries [B, H, T, D] to a cache: keys and values [S, H, C, D], of which batch `b` has slot `slot[b]` (i32
 * [B]), and query (b, t) sees the rows up to `last[b, t]` (i32 [B, T]). It has no gradient.
 */
export function cachedAttention(
  q: Tensor,
  { keys, values, slot, last, scale = 1 / Math.sqrt(q.shape[q.shape.length - 1]) }: {
    readonly keys: Tensor;
    readonly values: Tensor;
    readonly slot: Tensor;
    readonly last: Tensor;
    readonly scale?: number;
  },
): Tensor {
  return q.composite("cachedAttention", [keys, values, slot, last], { scale });
}
