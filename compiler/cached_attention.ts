/**
 * The geometry of attention to a cache: which variables its kernel runs over, and how operands are read over them.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { type IndexExpr, variable } from "./index_expr.ts";

/** Sizes of the problem, by the variables that run over them. */
export interface CachedSizes {
  /** Batch. */
  readonly b: number;
  /** Heads. */
  readonly h: number;
  /** Queries of a sequence. */
  readonly m: number;
  /** Slots of the cache. */
  readonly s: number;
  /** Rows of a slot. */
  readonly t: number;
  /** Channels. */
  readonly n: number;
}

/** Index vectors of the operands and of the result. */
export function cachedIndices(sizes: CachedSizes): Record<"q" | "cache" | "slot" | "last", IndexExpr[]> {
  const of = (name: keyof CachedSizes) => variable(name, sizes[name]);
  return {
    q: [of("b"), of("h"), of("m"), of("n")],
    cache: [of("s"), of("h"), of("t"), of("n")],
    slot: [of("b")],
    last: [of("b"), of("m")],
  };
}

/** Whether the template can run: lanes and vec4s of channels must divide one another. */
export function hasCachedAttention({ subgroupSize }: Capabilities, width: number): boolean {
  const quads = width / 4;
  return subgroupSize > 0 && Number.isInteger(quads) &&
    (quads % subgroupSize === 0 || subgroupSize % quads === 0);
}
