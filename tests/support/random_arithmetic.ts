/**
 * Moves of a random program that compute: pointwise ops and reductions.
 *
 * @module
 */
import { sizeOf, type Tensor, where } from "../../compiler/mod.ts";
import {
  broadcastShape,
  choose,
  computed,
  type Entry,
  isBool,
  isFloat,
  type Move,
  moved,
  partner,
  rank,
  withFloat,
  type Workshop,
} from "./random_pool.ts";

/** Functions of one value. */
export const UNARY: readonly Move[] = [
  (shop) => withFloat(shop, (x) => ({ ...x, tensor: x.tensor.neg() })),
  (shop) => withFloat(shop, (x) => ({ ...x, tensor: x.tensor.abs(), smooth: false })),
  (shop) => withFloat(shop, (x) => computed(x.tensor.tanh(), 1, x)),
  (shop) => withFloat(shop, (x) => computed(x.tensor.erf(), 1, x)),
  (shop) => withFloat(shop, (x) => computed(x.tensor.sin(), 1, x)),
  (shop) => withFloat(shop, (x) => computed(x.tensor.cos(), 1, x)),
  (shop) => withFloat(shop, (x) => computed(x.tensor.gelu(), x.bound, x)),
  (shop) => withFloat(shop, (x) => x.bound <= 4 ? computed(x.tensor.exp(), Math.exp(x.bound), x) : undefined),
  (shop) => withFloat(shop, (x) => computed(positive(x).log(), Math.log(x.bound ** 2 + 1), x)),
  (shop) => withFloat(shop, (x) => computed(positive(x).sqrt(), x.bound + 1, x)),
  (shop) => withFloat(shop, (x) => computed(positive(x).rsqrt(), 1, x)),
  (shop) => withFloat(shop, (x) => computed(positive(x).reciprocal(), 1, x)),
  (shop) => withExact(shop, (x) => ({ ...x, tensor: x.tensor.floor(), bound: x.bound + 1, smooth: false })),
  (shop) => withExact(shop, (x) => ({ ...x, tensor: x.tensor.cast("i32"), smooth: false })),
  (shop) => {
    const x = choose(shop, ({ tensor }) => tensor.dtype === "i32" || tensor.dtype === "bool");
    return x && { ...x, tensor: x.tensor.cast("f32"), smooth: true };
  },
];

function withExact(shop: Workshop, make: (x: Entry) => Entry): Entry | undefined {
  const x = choose(shop, (entry) => isFloat(entry) && entry.exact);
  return x && make(x);
}

/** x² + 1: a safe argument of log, sqrt and reciprocals. */
function positive({ tensor }: Entry): Tensor {
  return tensor.mul(tensor).add(1);
}

/** Sums and differences of exact values are exact as long as they stay small. */
function linear(shop: Workshop, op: "add" | "sub"): Entry | undefined {
  const x = choose(shop, ({ tensor }) => tensor.dtype !== "bool");
  if (!x) return undefined;
  const y = partner(shop, x);
  return {
    tensor: x.tensor[op](y.tensor),
    bound: x.bound + y.bound,
    exact: x.exact && y.exact,
    smooth: x.smooth && y.smooth,
  };
}

/** An op with a plain number, special ones among them. */
function withNumber(shop: Workshop): Entry | undefined {
  const x = choose(shop, isFloat);
  if (!x) return undefined;
  const { prng } = shop;
  const value = prng.pick([-2, -1, -0.5, 0, 0.5, 1, 2, 3, 0.1]);
  const inexact = computed(x.tensor, x.bound, x);
  switch (prng.integer(0, 4)) {
    case 0:
      return { ...inexact, tensor: x.tensor.add(value), bound: x.bound + 3 };
    case 1:
      return { ...inexact, tensor: x.tensor.sub(value), bound: x.bound + 3 };
    case 2:
      return { ...inexact, tensor: x.tensor.mul(value), bound: x.bound * 3 };
    case 3:
      return { ...inexact, tensor: x.tensor.div(value === 0 ? 4 : value), bound: x.bound * 10 };
    default:
      return computed(positive(x).pow(prng.pick([-1, -0.5, 0.5, 1, 2, 1.5])), (x.bound ** 2 + 1) ** 2, x);
  }
}

/** Arithmetic on two values. */
export const BINARY: readonly Move[] = [
  (shop) => linear(shop, "add"),
  (shop) => linear(shop, "sub"),
  (shop) => withPair(shop, (x, y) => computed(x.tensor.mul(y.tensor), x.bound * y.bound, x, y)),
  (shop) => withPair(shop, (x, y) => computed(x.tensor.div(positive(y)), x.bound, x, y)),
  (shop) =>
    withPair(shop, (x, y) => ({
      tensor: x.tensor.maximum(y.tensor),
      bound: Math.max(x.bound, y.bound),
      exact: x.exact && y.exact,
      smooth: false,
    })),
  (shop) =>
    withPair(shop, (x, y) => ({
      tensor: x.tensor.minimum(y.tensor),
      bound: Math.max(x.bound, y.bound),
      exact: x.exact && y.exact,
      smooth: false,
    })),
  withNumber,
  withNumber,
  integerProduct,
];

/** Comparisons, and what is made of them. */
export const LOGIC: readonly Move[] = [
  compare,
  compare,
  select,
  select,
  (shop) => {
    const x = choose(shop, ({ tensor }) => tensor.dtype === "bool");
    if (!x) return undefined;
    const y = partner(shop, x);
    return moved(x, shop.prng.chance(0.5) ? x.tensor.and(y.tensor) : x.tensor.or(y.tensor));
  },
  (shop) => {
    const x = choose(shop, ({ tensor }) => tensor.dtype === "bool");
    return x && moved(x, x.tensor.not());
  },
  (shop) => withFloat(shop, (x) => ({ tensor: x.tensor.isFinite(), bound: 1, exact: true, smooth: false })),
];

function withPair(shop: Workshop, make: (x: Entry, y: Entry) => Entry): Entry | undefined {
  const x = choose(shop, isFloat);
  return x && make(x, partner(shop, x));
}

function compare(shop: Workshop): Entry | undefined {
  const x = choose(shop, ({ tensor, exact }) => tensor.dtype !== "bool" && exact);
  if (!x) return undefined;
  const y = partner(shop, x, (other) => other.exact);
  const operator = shop.prng.pick(["eq", "ne", "lt", "le", "gt", "ge"] as const);
  const tensor = x.tensor[operator](shop.prng.chance(0.3) ? shop.prng.integer(-1, 1) : y.tensor);
  return { tensor, bound: 1, exact: true, smooth: false };
}

function select(shop: Workshop): Entry | undefined {
  const x = choose(shop, isFloat);
  if (!x) return undefined;
  const y = partner(shop, x);
  const shape = broadcastShape(x.tensor.shape, y.tensor.shape)!;
  const condition = choose(shop, ({ tensor }) => {
    const joint = tensor.dtype === "bool" ? broadcastShape(shape, tensor.shape) : undefined;
    return joint !== undefined && sizeOf(joint) <= shop.maxElements;
  });
  return condition && {
    tensor: where(condition.tensor, x.tensor, y.tensor),
    bound: Math.max(x.bound, y.bound),
    exact: x.exact && y.exact,
    smooth: x.smooth && y.smooth,
  };
}

function integerProduct(shop: Workshop): Entry | undefined {
  const x = choose(shop, ({ tensor }) => tensor.dtype === "i32");
  if (!x) return undefined;
  const factor = shop.prng.pick([-1, 0, 1, 2, 3]);
  return { ...x, tensor: x.tensor.mul(factor), bound: x.bound * 3 };
}

/** Reductions over any axes. */
export const REDUCE: readonly Move[] = [
  (shop) => reduce(shop, "sum"),
  (shop) => reduce(shop, "mean"),
  (shop) => reduce(shop, "max"),
  (shop) => {
    const x = choose(shop, (entry) => rank(entry) > 0 && entry.exact && isFloat(entry));
    if (!x) return undefined;
    const axis = shop.prng.integer(0, rank(x) - 1);
    return { tensor: x.tensor.argmax(axis), bound: x.tensor.shape[axis], exact: true, smooth: false };
  },
];

function reduce(shop: Workshop, op: "sum" | "mean" | "max"): Entry | undefined {
  const integers = op !== "mean" && shop.prng.chance(0.3);
  const x = choose(shop, (entry) => rank(entry) > 0 && !isBool(entry) && isFloat(entry) !== integers);
  if (!x) return undefined;
  const axes = shop.prng.subset(x.tensor.shape.map((_, axis) => axis));
  const tensor = x.tensor[op](axes, { keepDims: shop.prng.chance(0.5) });
  const count = sizeOf(axes.map((axis) => x.tensor.shape[axis]));
  if (op === "sum") return { ...x, tensor, bound: x.bound * count };
  return op === "max" ? { ...x, tensor, smooth: false } : computed(tensor, x.bound, x);
}
