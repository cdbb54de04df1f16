/**
 * Seeded numbers for tests.
 *
 * @module
 */

/** Uniform numbers in [0, 1) from a seed (Mulberry32). */
export function seededUniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word ^= word + Math.imul(word ^ (word >>> 7), 61 | word);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` tokens below `vocabulary`. */
export function seededTokens(seed: number, count: number, vocabulary: number): Int32Array {
  const uniform = seededUniform(seed);
  return Int32Array.from({ length: count }, () => Math.floor(uniform() * vocabulary));
}
