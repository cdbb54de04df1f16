/**
 * Every price that the fuser uses, in one place: legality lives in `fuse.ts`, taste lives here. Costs are in
 * multiply-adds per element; the figures come from software adapters, where one vec4 load costs as much as 15 to 20
 * multiply-adds on vec4, and hold all the more on GPUs, whose arithmetic is cheaper still.
 *
 * @module
 */
/** Large tensors that an inlined expression may read: past this, loading its result is cheaper. */
export const MAX_PROLOGUE_LOADS = 3;

/** A chain up to GELU's derivative (about 30) is recomputed rather than stored and loaded. */
const MAX_RECOMPUTE_COST = 40;

/** In a product each operand element is loaded once per tile, so only what is nearly free is recomputed there. */
const MAX_MATMUL_PROLOGUE_COST = 2;

/** A range a quarter of the reader's size or less (a bias, a row statistic) stays in cache and does not count. */
export function isSmallRead([low, high]: readonly [number, number], readerSize: number): boolean {
  return (high - low + 1) * 4 <= readerSize;
}

/** True when computing an expression again is cheaper than a store and a load. */
export function cheapToRecompute(cost: number): boolean {
  return cost <= MAX_RECOMPUTE_COST;
}

/**
 * True when an expression may be evaluated on each load of a product's operand: it must not load anything else, not even
 * a bias, because the inner loop of a product is made of its loads.
 */
export function cheapInMatmul(cost: number, loads: number): boolean {
  return cost <= MAX_MATMUL_PROLOGUE_COST && loads <= 1;
}
