/**
 * The moves of a random program: each picks operands from the pool and adds an op or an idiom, or gives up. Here are the
 * products, indexed ops, composites and leaves, and the list of all.
 *
 * @module
 */
import { attention, constant, iota, randomUniform, sizeOf } from "../../compiler/mod.ts";
import { BINARY, LOGIC, REDUCE, UNARY } from "./random_arithmetic.ts";
import {
  broadcastShape,
  choose,
  computed,
  type Entry,
  isBool,
  isFloat,
  last,
  type Move,
  moved,
  randomShape,
  rank,
  withFloat,
  type Workshop,
} from "./random_pool.ts";
import { MOVEMENT, swapLast } from "./random_views.ts";

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
    const y = x && moved(x, x.tensor.transpose(shop.prng.shuffled(x.tensor.shape.map((_, axis) => axis))));
    if (!y || sizeOf(y.tensor.shape.slice(0, -1)) * y.tensor.shape[rank(y) - 2] > shop.maxElements) {
      return undefined;
    }
    return computed(y.tensor.matmul(y.tensor, { transB: true }), y.bound ** 2 * last(y), y);
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
    const heads = attentionInputs(shop);
    if (!heads) return undefined;
    const [q, k, v] = heads;
    const options = { causal: shop.prng.chance(0.5), scale: 0.25 };
    return computed(attention(q.tensor, k.tensor, v.tensor, options), v.bound, q, k, v);
  },
  (shop) => {
    const heads = attentionInputs(shop);
    if (!heads || heads.some((entry) => entry.bound > 4)) return undefined;
    const [q, k, v, g] = heads;
    const attrs = { causal: shop.prng.chance(0.5), scale: 0.25 };
    const lse = q.tensor.composite("attentionLse", [k.tensor, v.tensor], attrs);
    const scores = last(q) * q.bound * k.bound * attrs.scale;
    if (shop.prng.chance(0.25)) return fixed(computed(lse, scores + 4, q, k, v));
    const delta = g.tensor.sum([3]);
    const op = shop.prng.pick(["attentionGradQ", "attentionGradK", "attentionGradV"]);
    const gradient = q.tensor.composite(op, [k.tensor, v.tensor, g.tensor, lse, delta], attrs);
    const slope = last(q) * g.bound * (v.bound + 1);
    const bound = op === "attentionGradV" ? g.bound : slope * Math.max(q.bound, k.bound) * attrs.scale;
    return fixed(computed(gradient, bound * q.tensor.shape[2], q, k, v, g));
  },
];

/** Four tensors of heads of one shape, whose scores fit the limit. */
function attentionInputs(shop: Workshop): [Entry, Entry, Entry, Entry] | undefined {
  const q = choose(shop, (entry) => isFloat(entry) && rank(entry) === 4 && entry.bound <= 16);
  if (!q || sizeOf(q.tensor.shape.slice(0, 3)) * q.tensor.shape[2] > shop.maxElements) return undefined;
  const alike = (entry: Entry) => isFloat(entry) && entry.tensor.shape.join() === q.tensor.shape.join();
  return [q, choose(shop, alike)!, choose(shop, alike)!, choose(shop, alike)!];
}

/** A value that cannot be differentiated. */
function fixed(entry: Entry): Entry {
  return { ...entry, smooth: false };
}

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
