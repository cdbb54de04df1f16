/**
 * Pseudorandom orders without tables: which element is at a place of a shuffled order is computed from a key, so any
 * place of it is found at once, however long it is. Datasets take the order of their windows and shards from here.
 *
 * @module
 */

/** A well-mixed u32 of two numbers (the finaliser of MurmurHash3, Appleby 2011). */
export function mix(a: number, b: number): number {
  let h = (Math.imul(a | 0, 0x9e3779b1) ^ Math.imul((b | 0) + 0x7f4a7c15, 0x85ebca6b)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * Image of `index` under a pseudorandom permutation of 0 … size - 1: a four-round Feistel network on the next even number
 * of bits, walked until it lands inside (Black and Rogaway 2002).
 *
 * @param size At most 2^52.
 * @param key Picks the permutation; a u32.
 */
export function permute(index: number, size: number, key: number): number {
  let bits = 2;
  while (2 ** bits < size) bits += 2;
  const base = 2 ** (bits / 2);
  const mask = base - 1;
  let value = index;
  do {
    let left = Math.floor(value / base);
    let right = value % base;
    for (let round = 0; round < 4; round++) {
      [left, right] = [right, left ^ (mix(key + round, right) & mask)];
    }
    value = left * base + right;
  } while (value >= size);
  return value;
}
