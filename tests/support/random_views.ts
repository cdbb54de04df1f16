/**
 * Moves of a random program that move elements.
 *
 * @module
 */
import { concat, type Shape, sizeOf, type Tensor } from "../../compiler/mod.ts";
import type { Prng } from "./prng.ts";
import {
  choose,
  type Entry,
  isBool,
  isFloat,
  last,
  type Move,
  moved,
  rank,
  SIZES,
  type Workshop,
} from "./random_pool.ts";

/** Ways to look at one tensor. */
const VIEWS: readonly ((shop: Workshop, x: Entry) => Entry | undefined)[] = [
  ({ prng }, x) => moved(x, x.tensor.reshape(otherShape(prng, x.tensor.shape))),
  ({ prng }, x) => rank(x) > 0 ? moved(x, x.tensor.transpose(prng.shuffled(axesOf(x)))) : undefined,
  (_, x) => rank(x) > 1 ? moved(x, swapLast(x.tensor)) : undefined,
  ({ prng, maxElements }, x) => {
    const shape = x.tensor.shape.map((size) => size === 1 ? prng.pick(SIZES) : size);
    if (prng.chance(0.5) && shape.length < 4) shape.unshift(prng.pick(SIZES));
    return sizeOf(shape) <= maxElements ? moved(x, x.tensor.broadcastTo(shape)) : undefined;
  },
  slice,
  pad,
];

/** Views, concatenations, and arithmetic between them. */
export const MOVEMENT: readonly Move[] = [
  ...VIEWS.map((view): Move => (shop) => view(shop, choose(shop, () => true)!)),
  viewOfViews,
  viewOfViews,
  viewOfViews,
  meetReshaped,
  concatenate,
  concatenate,
  cutAndJoin,
  cutAndJoin,
];

/** Several views, one of the other. */
function viewOfViews(shop: Workshop): Entry | undefined {
  let x = choose(shop, () => true)!;
  for (let count = shop.prng.integer(2, 4); count > 0; count--) x = shop.prng.pick(VIEWS)(shop, x) ?? x;
  return x;
}

/** The sum of two tensors that have equally many elements, in one shape. */
function meetReshaped(shop: Workshop): Entry | undefined {
  const x = choose(shop, isFloat);
  const y = x &&
    choose(shop, (entry) => isFloat(entry) && sizeOf(entry.tensor.shape) === sizeOf(x.tensor.shape));
  if (!x || !y) return undefined;
  const shape = otherShape(shop.prng, x.tensor.shape);
  const tensor = x.tensor.reshape(shape).sub(y.tensor.reshape(shape));
  return {
    tensor,
    bound: x.bound + y.bound,
    exact: x.exact && y.exact,
    smooth: x.smooth && y.smooth,
  };
}

function concatenate(shop: Workshop): Entry | undefined {
  const x = choose(shop, (entry) => rank(entry) > 0);
  if (!x) return undefined;
  const axis = shop.prng.integer(0, rank(x) - 1);
  const alike = shop.pool.filter(({ tensor, smooth }) =>
    tensor.dtype === x.tensor.dtype && smooth === x.smooth && tensor.shape.length === rank(x) &&
    tensor.shape.every((size, i) => i === axis || size === x.tensor.shape[i])
  );
  const pieces = Array.from({ length: shop.prng.integer(1, 3) }, () => shop.prng.pick(alike));
  const length = pieces.reduce((sum, piece) => sum + piece.tensor.shape[axis], 0);
  if (sizeOf(x.tensor.shape) / x.tensor.shape[axis] * length > shop.maxElements) return undefined;
  return {
    tensor: concat(pieces.map((piece) => piece.tensor), axis),
    bound: Math.max(...pieces.map((piece) => piece.bound)),
    exact: pieces.every((piece) => piece.exact),
    smooth: x.smooth,
  };
}

function axesOf({ tensor }: Entry): number[] {
  return tensor.shape.map((_, axis) => axis);
}

/** The last two axes the other way round. */
export function swapLast(tensor: Tensor): Tensor {
  const axes = tensor.shape.map((_, axis) => axis);
  return tensor.transpose([...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
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

function slice({ prng }: Workshop, x: Entry): Entry | undefined {
  if (rank(x) === 0) return undefined;
  const starts = x.tensor.shape.map((size) => prng.chance(0.5) ? 0 : prng.integer(0, size - 1));
  const ends = x.tensor.shape.map((size, axis) =>
    prng.chance(0.5) ? size : prng.integer(starts[axis] + 1, size)
  );
  return moved(x, x.tensor.slice(starts, ends));
}

function pad({ prng, maxElements }: Workshop, x: Entry): Entry | undefined {
  if (rank(x) === 0) return undefined;
  const amounts = () => x.tensor.shape.map(() => prng.chance(0.5) ? 0 : prng.integer(1, 3));
  const [before, after] = [amounts(), amounts()];
  const size = sizeOf(x.tensor.shape.map((length, axis) => before[axis] + length + after[axis]));
  return size <= maxElements ? moved(x, x.tensor.pad(before, after)) : undefined;
}

/** Both ends of a tensor side by side, the right way round or not, or added up by padding. */
function cutAndJoin(shop: Workshop): Entry | undefined {
  const x = choose(shop, (entry) => rank(entry) > 0 && last(entry) > 1 && !isBool(entry));
  if (!x) return undefined;
  const { tensor } = x;
  const axis = rank(x) - 1;
  const cut = shop.prng.integer(1, last(x) - 1);
  const at = (value: number) => tensor.shape.map((_, i) => i === axis ? value : 0);
  const left = tensor.slice(at(0), tensor.shape.map((size, i) => i === axis ? cut : size));
  const start = shop.prng.chance(0.7) ? cut : shop.prng.integer(0, last(x) - 1);
  const right = tensor.slice(at(start), tensor.shape);
  switch (shop.prng.integer(0, 2)) {
    case 0:
      return moved(x, concat([left, right], axis));
    case 1:
      return moved(x, concat([right, left], axis));
    default: {
      const [low, high] = [left.pad(at(0), at(last(x) - cut)), right.pad(at(start), at(0))];
      return moved({ ...x, bound: 2 * x.bound }, shop.prng.chance(0.5) ? low.add(high) : high.add(low));
    }
  }
}
