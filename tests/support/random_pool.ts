/**
 * The pool of a random program: the tensors that its moves choose from, and what is known about their values.
 *
 * @module
 */
import { type Shape, sizeOf, type Tensor } from "../../compiler/mod.ts";
import type { Prng } from "./prng.ts";

/** A tensor of the program in the making, with what is known about its values. */
export interface Entry {
  readonly tensor: Tensor;
  /** No element is larger than this in magnitude. */
  readonly bound: number;
  /** All elements are multiples of 1/16 (integers, for integer dtypes) that float32 holds exactly. */
  readonly exact: boolean;
  /** Its gradient does not jump. */
  readonly smooth: boolean;
}

/** The program in the making. */
export interface Workshop {
  readonly prng: Prng;
  /** Everything that may be used, oldest first. */
  readonly pool: Entry[];
  /** Tensors may not get larger, in elements. */
  readonly maxElements: number;
  /** Key of random draws (u32). */
  readonly key: Tensor;
}

/** Adds nodes and returns what they made, or undefined when nothing in the pool fits. */
export type Move = (shop: Workshop) => Entry | undefined;

/** Small, odd, and next to the sizes of vectors, subgroups and tiles. */
export const SIZES = [1, 1, 2, 3, 4, 5, 8, 17, 33, 65];

/** A random shape of `rank` axes with no more elements than allowed. */
export function randomShape(prng: Prng, rank: number, maxElements: number): number[] {
  const shape = Array.from({ length: rank }, () => prng.pick(SIZES));
  while (sizeOf(shape) > maxElements) shape[shape.indexOf(Math.max(...shape))] = prng.pick([1, 2, 3]);
  return shape;
}

/** A member of the pool that fits, the newest as likely as all others. */
export function choose({ prng, pool }: Workshop, fits: (entry: Entry) => boolean): Entry | undefined {
  const fitting = pool.filter(fits);
  if (fitting.length === 0) return undefined;
  return prng.chance(0.5) ? fitting[fitting.length - 1] : prng.pick(fitting);
}

/** True for f32 values. */
export const isFloat = ({ tensor }: Entry) => tensor.dtype === "f32";
/** True for bool values. */
export const isBool = ({ tensor }: Entry) => tensor.dtype === "bool";
/** Number of axes. */
export const rank = ({ tensor }: Entry) => tensor.shape.length;
/** Size of the last axis. */
export const last = ({ tensor }: Entry) => tensor.shape[tensor.shape.length - 1];

/** What NumPy's broadcasting makes of two shapes, if they fit. */
export function broadcastShape(a: Shape, b: Shape): number[] | undefined {
  const shape: number[] = [];
  for (let i = 1; i <= Math.max(a.length, b.length); i++) {
    const [left, right] = [a[a.length - i] ?? 1, b[b.length - i] ?? 1];
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.unshift(Math.max(left, right));
  }
  return shape;
}

/** A partner of the same dtype whose shape goes with `entry`'s, `entry` itself if there is no other. */
export function partner(shop: Workshop, entry: Entry, fits: (other: Entry) => boolean = () => true): Entry {
  return choose(shop, (other) => {
    if (other.tensor.dtype !== entry.tensor.dtype || !fits(other)) return false;
    const shape = broadcastShape(entry.tensor.shape, other.tensor.shape);
    return shape !== undefined && sizeOf(shape) <= shop.maxElements;
  }) ?? entry;
}

/** The entry with another tensor: same values, moved. */
export function moved(entry: Entry, tensor: Tensor): Entry {
  return { ...entry, tensor };
}

/** A value of a smooth function of `entries`. */
export function computed(tensor: Tensor, bound: number, ...entries: Entry[]): Entry {
  return { tensor, bound, exact: false, smooth: entries.every((entry) => entry.smooth) };
}

/** What `make` makes of an f32 value. */
export function withFloat(shop: Workshop, make: (x: Entry) => Entry | undefined): Entry | undefined {
  const x = choose(shop, isFloat);
  return x && make(x);
}
