/**
 * Which part of a text the model sees when the text is longer than its context. Positions are learned, so a cache is only
 * good for one beginning: it moves by half a context at a time, and the cache is filled anew once for so many tokens.
 *
 * @module
 */

/**
 * Index of the first token that is seen when token `at` is the newest: 0 as long as everything fits, then the smallest
 * multiple of half a context from which it does.
 *
 * @param context Most tokens that the model sees.
 */
export function windowStart(at: number, context: number): number {
  const over = at + 1 - context;
  if (over <= 0) return 0;
  const half = Math.max(1, Math.floor(context / 2));
  return Math.ceil(over / half) * half;
}
