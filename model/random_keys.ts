/**
 * Keys for the device's counter-based generator. Everything random in a run has a key of its own that follows from the
 * run's seed, what it is for and where it stands, so a resumed run draws what an uninterrupted one would have drawn.
 *
 * @module
 */

/** What random numbers are for. */
export type Purpose = "weights" | "tokens";

const PURPOSES: Readonly<Record<Purpose, number>> = { weights: 0x9e3779b9, tokens: 0x85ebca6b };

/** A u32 key from a u32 seed, a purpose and a position (MurmurHash3's finalizer over their combination). */
export function randomKey(seed: number, purpose: Purpose, position = 0): number {
  return finalize(finalize(seed ^ PURPOSES[purpose]) ^ position);
}

function finalize(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}
