/**
 * Attention of a few new tokens to all that their sequences have in a cache. How much of the cache a query sees is data,
 * so the template (`wgsl/cached_attention.ts`) loops just as far; its decomposition looks at everything and masks.
 *
 * @module
 */
import { isFloat } from "../dtype.ts";
import { iota } from "../tensor.ts";
import { MASKED } from "./masking.ts";
import type { OpSpec } from "./types.ts";

/** Name of the op; it stays whole where its template can run. */
export const CACHED_ATTENTION = "cachedAttention";

/**
 * Queries [B, H, T, D], keys and values [S, H, C, D], i32 `slot` [B] and `last` [B, T] to [B, H, T, D]: query (b, t) sees
 * rows 0 to `last[b, t]` of the cache's slot `slot[b]`. One that sees nothing (a negative `last`) gives finite numbers
 * that mean nothing.
 */
export const CACHED: Record<string, OpSpec> = {
  [CACHED_ATTENTION]: {
    class: "indexed",
    infer: ([q, k, v, slot, last]) => {
      const [B, H, T, D] = q.shape;
      const isCache = k.shape.length === 4 && k.shape[1] === H && k.shape[3] === D;
      if (q.shape.length !== 4 || !isCache || k.shape.join() !== v.shape.join()) {
        throw new Error(
          `q [${q.shape}], k [${k.shape}] and v [${v.shape}] do not fit: expected [B, H, T, D], [S, H, C, D]`,
        );
      }
      if (!isFloat(q.dtype) || [k, v].some(({ dtype }) => dtype !== q.dtype)) {
        throw new Error(`q, k and v must be of one float dtype, not ${q.dtype}, ${k.dtype} and ${v.dtype}`);
      }
      const expect = (name: string, { shape, dtype }: typeof slot, wanted: readonly number[]) => {
        if (shape.join() === wanted.join() && dtype === "i32") return;
        throw new Error(`${name} must be i32[${wanted}] but is ${dtype}[${shape}]`);
      };
      expect("slot", slot, [B]);
      expect("last", last, [B, T]);
      return { shape: q.shape, dtype: q.dtype };
    },
    decompose: ([q, k, v, slot, last], { scale }) => {
      const [B, H, T] = q.shape;
      const shape = [B, H, T, k.shape[2]];
      const seen = iota([1, 1, 1, shape[3]], 3).broadcastTo(shape)
        .le(last.reshape([B, 1, T, 1]).broadcastTo(shape));
      const scores = q.matmul(k.gather(slot), { transB: true }).cast("f32").mul(scale as number);
      return scores.where(seen, MASKED).softmax().cast(q.dtype).matmul(v.gather(slot));
    },
  },
};
