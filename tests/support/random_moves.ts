/**
 * The moves of a random program: each picks operands from the pool and adds an op or an idiom, or gives up.
 *
 * @module
 */
import {
  attention,
  concat,
  constant,
  iota,
  randomUniform,
  type Shape,
  sizeOf,
  type Tensor,
  where,
} from "../../compiler/mod.ts";
import type { Prng } from "./prng.ts";
import type { Entry, Workshop } from "./random_graph.ts";

/** Adds nodes and returns what they made, or undefined when nothing in the pool fits. */
export type Move = (shop: Workshop) => Entry | undefined;

/** Small, odd, and next to the sizes of vectors, subgroups and tiles. */
const SIZES = [1, 1, 2, 3, 4, 5, 8, 17, 33, 65];

/** A random shape of `rank` axes with no more elements than allowed. */
export function randomShape(prng: Prng, rank: number, maxElements: number): number[] {
  const shape = Array.from({ length: rank }, () => prng.pick(SIZES));
  while (sizeOf(shape) > maxElements) shape[shape.indexOf(Math.max(...shape))] = prng.pick([1, 2, 3]);
  return shape;
}

/** A member of the pool that fits, the newer the likelier. */
function choose({ prng, pool }: Workshop, fits: (entry: Entry) => boolean): Entry | undefined {
  const fitting = pool.filter(fits);
  if (fitting.length === 0) return undefined;
  return prng.chance(0.5) ? fitting[fitting.length - 1] : prng.pick(fitting);
}

const isFloat = ({ tensor }: Entry) => tensor.dtype === "f32";
const rank = ({ tensor }: Entry) => tensor.shape.length;
const last = ({ tensor }: Entry) => tensor.shape[tensor.shape.length - 1];

/** What NumPy's broadcasting makes of two shapes, if they fit. */
function broadcastShape(a: Shape, b: Shape): number[] | undefined {
  const shape: number[] = [];
  for (let i = 1; i <= Math.max(a.length, b.length); i++) {
    const [left, right] = [a[a.length - i] ?? 1, b[b.length - i] ?? 1];
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.unshift(Math.max(left, right));
  }
  return shape;
}

/** A partner of the same dtype whose shape goes with `entry`'s, `entry` itself if there is no other. */
function partner(shop: Workshop, entry: Entry, fits: (other: Entry) => boolean = () => true): Entry {
  return choose(shop, (other) => {
    if (other.tensor.dtype !== entry.tensor.dtype || !fits(other)) return false;
    const shape = broadcastShape(entry.tensor.shape, other.tensor.shape);
    return shape !== undefined && sizeOf(shape) <= shop.maxElements;
  }) ?? entry;
}

/** The entry with another tensor: same values, moved. */
function moved(entry: Entry, tensor: Tensor): Entry {
  return { ...entry, tensor };
}

/** A value of a smooth function of `entries`. */
function computed(tensor: Tensor, bound: number, ...entries: Entry[]): Entry {
  return { tensor, bound, exact: false, smooth: entries.every((entry) => entry.smooth) };
}

const UNARY: Move[] = [
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

function withFloat(shop: Workshop, make: (x: Entry) => Entry | undefined): Entry | undefined {
  const x = choose(shop, isFloat);
  return x && make(x);
}

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

const BINARY: Move[] = [
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

const LOGIC: Move[] = [
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

const REDUCE: Move[] = [
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
  const x = choose(shop, (entry) => rank(entry) > 0 && (isFloat(entry) || op !== "mean") && !isBool(entry));
  if (!x) return undefined;
  const axes = shop.prng.subset(x.tensor.shape.map((_, axis) => axis));
  const tensor = x.tensor[op](axes, { keepDims: shop.prng.chance(0.5) });
  const count = sizeOf(axes.map((axis) => x.tensor.shape[axis]));
  if (op === "sum") return { ...x, tensor, bound: x.bound * count };
  return op === "max" ? { ...x, tensor, smooth: false } : computed(tensor, x.bound, x);
}

const isBool = ({ tensor }: Entry) => tensor.dtype === "bool";

const MOVEMENT: Move[] = [
  (shop) => withAny(shop, 0, (x) => moved(x, x.tensor.reshape(otherShape(shop.prng, x.tensor.shape)))),
  (shop) => withAny(shop, 1, (x) => moved(x, x.tensor.transpose(shop.prng.shuffled(axesOf(x))))),
  (shop) => withAny(shop, 2, (x) => moved(x, swapLast(x.tensor))),
  (shop) =>
    withAny(shop, 0, (x) => {
      const shape = x.tensor.shape.map((size) => size === 1 ? shop.prng.pick(SIZES) : size);
      if (shop.prng.chance(0.5) && shape.length < 4) shape.unshift(shop.prng.pick(SIZES));
      return sizeOf(shape) <= shop.maxElements ? moved(x, x.tensor.broadcastTo(shape)) : undefined;
    }),
  slice,
  slice,
  pad,
  (shop) => {
    const x = choose(shop, (entry) => rank(entry) > 0);
    if (!x) return undefined;
    const axis = shop.prng.integer(0, rank(x) - 1);
    const alike = shop.pool.filter(({ tensor, smooth }) =>
      tensor.dtype === x.tensor.dtype && smooth === x.smooth && tensor.shape.length === rank(x) &&
      tensor.shape.every((size, i) => i === axis || size === x.tensor.shape[i])
    );
    const pieces = Array.from({ length: shop.prng.integer(1, 3) }, () => shop.prng.pick(alike));
    const tensor = concat(pieces.map((piece) => piece.tensor), axis);
    if (sizeOf(tensor.shape) > shop.maxElements) return undefined;
    return {
      tensor,
      bound: Math.max(...pieces.map((piece) => piece.bound)),
      exact: pieces.every((piece) => piece.exact),
      smooth: x.smooth,
    };
  },
  cutAndJoin,
];

function axesOf({ tensor }: Entry): number[] {
  return tensor.shape.map((_, axis) => axis);
}

function swapLast(tensor: Tensor): Tensor {
  const axes = tensor.shape.map((_, axis) => axis);
  return tensor.transpose([...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}

function withAny(
  shop: Workshop,
  leastRank: number,
  make: (x: Entry) => Entry | undefined,
): Entry | undefined {
  const x = choose(shop, (entry) => rank(entry) >= leastRank);
  return x && make(x);
}

/** The same number of elements: flat, with an axis of size 1 more, two axes merged, or one split. */
function otherShape(prng: Prng, shape: Shape): number[] {
  const axis = prng.integer(0, Math.max(0, shape.length - 1));
  switch (prng.integer(0, 3)) {
    case 0:
      return [sizeOf(shape)];
    case 1:
      return shape.length < 4 ? [...shape.slice(0, axis), 1, ...shape.slice(axis)] : [...shape];
    case 2:
      if (axis + 1 >= shape.length) return [...shape];
      return [...shape.slice(0, axis), shape[axis] * shape[axis + 1], ...shape.slice(axis + 2)];
    default: {
      const factor = [5, 4, 3, 2].find((size) => shape.length < 4 && shape[axis] % size === 0);
      return factor
        ? [...shape.slice(0, axis), factor, shape[axis] / factor, ...shape.slice(axis + 1)]
        : [...shape];
    }
  }
}

function slice(shop: Workshop): Entry | undefined {
  return withAny(shop, 1, (x) => {
    const starts = x.tensor.shape.map((size) => shop.prng.chance(0.5) ? 0 : shop.prng.integer(0, size - 1));
    const ends = x.tensor.shape.map((size, axis) =>
      shop.prng.chance(0.5) ? size : shop.prng.integer(starts[axis] + 1, size)
    );
    return moved(x, x.tensor.slice(starts, ends));
  });
}

function pad(shop: Workshop): Entry | undefined {
  return withAny(shop, 1, (x) => {
    const amounts = () => x.tensor.shape.map(() => shop.prng.chance(0.5) ? 0 : shop.prng.integer(1, 3));
    const [before, after] = [amounts(), amounts()];
    const size = sizeOf(x.tensor.shape.map((length, axis) => before[axis] + length + after[axis]));
    return size <= shop.maxElements ? moved(x, x.tensor.pad(before, after)) : undefined;
  });
}

/** Both halves of a tensor side by side again, the right way round or not, or added up by padding. */
function cutAndJoin(shop: Workshop): Entry | undefined {
  const x = choose(shop, (entry) => rank(entry) > 0 && last(entry) > 1 && !isBool(entry));
  if (!x) return undefined;
  const { tensor } = x;
  const axis = rank(x) - 1;
  const cut = shop.prng.integer(1, last(x) - 1);
  const at = (value: number) => tensor.shape.map((_, i) => i === axis ? value : 0);
  const left = tensor.slice(at(0), tensor.shape.map((size, i) => i === axis ? cut : size));
  const right = tensor.slice(at(cut), tensor.shape);
  switch (shop.prng.integer(0, 2)) {
    case 0:
      return moved(x, concat([left, right], axis));
    case 1:
      return moved(x, concat([right, left], axis));
    default:
      return moved(x, left.pad(at(0), at(last(x) - cut)).add(right.pad(at(cut), at(0))));
  }
}

const CONTRACTION: Move[] = [
  (shop) => {
    const x = choose(shop, (entry) => isFloat(entry) && rank(entry) >= 2);
    if (!x) return undefined;
    const transA = shop.prng.chance(0.5);
    const depth = x.tensor.shape[rank(x) - (transA ? 2 : 1)];
    const rows = sizeOf(x.tensor.shape) / depth;
    const fits = (transB: boolean) => (y: Entry) =>
      isFloat(y) && rank(y) >= 2 && y.tensor.shape[rank(y) - (transB ? 1 : 2)] === depth &&
      broadcastShape(x.tensor.shape.slice(0, -2), y.tensor.shape.slice(0, -2)) !== undefined &&
      rows * sizeOf(y.tensor.shape) / depth <= shop.maxElements;
    const transB = shop.prng.chance(0.5);
    const y = choose(shop, fits(transB));
    if (!y) return undefined;
    const right = shop.prng.chance(0.3) ? swapLast(y.tensor) : y.tensor;
    const flags = { transA, transB: right === y.tensor ? transB : !transB };
    return computed(x.tensor.matmul(right, flags), x.bound * y.bound * depth, x, y);
  },
  (shop) => {
    const x = choose(shop, (entry) => isFloat(entry) && rank(entry) >= 2);
    if (!x || sizeOf(x.tensor.shape.slice(0, -1)) * x.tensor.shape[rank(x) - 2] > shop.maxElements) {
      return undefined;
    }
    return computed(x.tensor.matmul(x.tensor, { transB: true }), x.bound ** 2 * last(x), x);
  },
];

const INDEXED: Move[] = [
  (shop) => {
    const indices = choose(shop, ({ tensor }) => tensor.dtype === "i32" && tensor.shape.length <= 2);
    const table = indices &&
      choose(shop, (entry) =>
        rank(entry) > 0 && !isBool(entry) && rank(entry) + rank(indices) <= 5 &&
        sizeOf(indices.tensor.shape) * sizeOf(entry.tensor.shape.slice(1)) <= shop.maxElements);
    return table && moved(table, table.tensor.gather(indices.tensor));
  },
  (shop) => {
    const updates = choose(shop, (entry) => isFloat(entry) && rank(entry) > 0);
    if (!updates) return undefined;
    const [count, ...rest] = updates.tensor.shape;
    const rows = shop.prng.integer(1, 7);
    if (rows * sizeOf(rest) > shop.maxElements) return undefined;
    const given = choose(shop, ({ tensor }) => tensor.dtype === "i32" && tensor.shape.join() === `${count}`);
    const indices = given?.tensor ?? iota([count], 0).mul(shop.prng.pick([-1, 1, 3])).add(1);
    return { ...updates, tensor: updates.tensor.scatterAdd(indices, rows), bound: updates.bound * count };
  },
  (shop) => {
    const keys = choose(shop, ({ tensor }) => tensor.dtype === "i32" && tensor.shape.length === 1);
    return keys && { ...keys, tensor: keys.tensor.argsort(), bound: keys.tensor.shape[0] };
  },
];

const COMPOSITE: Move[] = [
  (shop) => withRows(shop, (x) => computed(x.tensor.softmax(), 1, x)),
  (shop) => withRows(shop, (x) => computed(x.tensor.logSoftmax(), 2 * x.bound + Math.log(last(x)), x)),
  (shop) =>
    withRows(shop, (x) => {
      const parameter = () =>
        choose(shop, (entry) => isFloat(entry) && entry.tensor.shape.join() === `${last(x)}`);
      const [gamma, beta] = [parameter(), parameter()];
      const ones = constant(1, "f32").broadcastTo([last(x)]);
      const tensor = x.tensor.layerNorm(gamma?.tensor ?? ones, beta?.tensor ?? ones.neg(), 0.1);
      const used = [x, ...gamma ? [gamma] : [], ...beta ? [beta] : []];
      return computed(tensor, Math.sqrt(last(x)) * (gamma?.bound ?? 1) + (beta?.bound ?? 1), ...used);
    }),
  (shop) => {
    const x = choose(shop, (entry) => isFloat(entry) && rank(entry) === 2);
    if (!x) return undefined;
    const classes = shop.prng.integer(1, last(x));
    const targets = iota([x.tensor.shape[0]], 0).minimum(classes - 1);
    return computed(x.tensor.crossEntropy(targets, { classes }), 2 * x.bound + 5, x);
  },
  (shop) => {
    const x = choose(shop, (entry) => isFloat(entry) && rank(entry) === 2);
    const w = x && choose(shop, (entry) => isFloat(entry) && rank(entry) === 2 && last(entry) === last(x));
    if (!x || !w) return undefined;
    const rows = w.tensor.shape[0];
    const targets = iota([x.tensor.shape[0]], 0).minimum(rows - 1);
    return computed(
      x.tensor.linearCrossEntropy(w.tensor, targets),
      2 * x.bound * w.bound * last(x) + 5,
      x,
      w,
    );
  },
  (shop) => {
    const q = choose(shop, (entry) => isFloat(entry) && rank(entry) === 4 && entry.bound <= 16);
    if (!q || sizeOf(q.tensor.shape.slice(0, 3)) * q.tensor.shape[2] > shop.maxElements) return undefined;
    const alike = (entry: Entry) => isFloat(entry) && entry.tensor.shape.join() === q.tensor.shape.join();
    const [k, v] = [choose(shop, alike)!, choose(shop, alike)!];
    const options = { causal: shop.prng.chance(0.5), scale: 0.25 };
    return computed(attention(q.tensor, k.tensor, v.tensor, options), v.bound, q, k, v);
  },
];

function withRows(shop: Workshop, make: (x: Entry) => Entry): Entry | undefined {
  const x = choose(shop, (entry) => isFloat(entry) && rank(entry) > 0);
  return x && make(x);
}

const LEAVES: Move[] = [
  (shop) => {
    const shape = randomShape(shop.prng, shop.prng.integer(1, 3), 256);
    const axis = shop.prng.integer(0, shape.length - 1);
    return { tensor: iota(shape, axis), bound: shape[axis], exact: true, smooth: false };
  },
  (shop) => {
    const shape = randomShape(shop.prng, shop.prng.integer(0, 3), 256);
    const tensor = randomUniform(shop.key, shape, shop.prng.integer(0, 3));
    return { tensor, bound: 1, exact: false, smooth: true };
  },
  (shop) => {
    const shape = randomShape(shop.prng, shop.prng.integer(0, 3), 256);
    const tensor = constant(shop.prng.pick([-1, 0, 0.5, 1, 0.3]), "f32").broadcastTo(shape);
    return { tensor, bound: 1, exact: false, smooth: true };
  },
];

/** Four axes, batch and heads first, as attention takes them. */
const HEADS: Move = (shop) =>
  withFloat(shop, (x) => {
    const shape = randomShape(shop.prng, 4, Math.min(shop.maxElements, 512));
    const flat = x.tensor.reshape([sizeOf(x.tensor.shape)]);
    const indices = iota(shape, shop.prng.integer(0, 3)).add(iota(shape, shop.prng.integer(0, 3)));
    return moved(x, flat.gather(indices));
  });

/** Every move, likelier the more often it is here. */
export const MOVES: readonly Move[] = [
  ...UNARY,
  ...BINARY,
  ...LOGIC,
  ...LOGIC,
  ...REDUCE,
  ...REDUCE,
  ...MOVEMENT,
  ...CONTRACTION,
  ...CONTRACTION,
  ...INDEXED,
  ...COMPOSITE,
  ...LEAVES,
  HEADS,
];
