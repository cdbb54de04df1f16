/**
 * Functions whose gradients the tests compare with finite differences: every differentiable op, at odd shapes and with
 * broadcasts. Arguments keep away from the places where a derivative jumps.
 *
 * @module
 */
import { attention, concat, iota, type Shape, type Tensor, where } from "../../compiler/mod.ts";

/** A function of float tensors, and where to try it. */
export interface GradientCase {
  /** The op, and what is special. */
  readonly name: string;
  /** Shapes of the arguments. */
  readonly shapes: readonly Shape[];
  /** Range of the arguments, -1 to 1 by default. */
  readonly range?: readonly [low: number, high: number];
  readonly fn: (...inputs: Tensor[]) => Tensor;
}

type Row = [name: string, shapes: Shape[], fn: GradientCase["fn"], range?: [number, number]];

/** i32 [count] of values spread over [0, most), some of them equal. */
function someIndices(count: number, most: number): Tensor {
  const at = iota([count], 0).mul(5).add(3);
  return at.sub(at.div(most).mul(most));
}

const POSITIVE: [number, number] = [0.5, 2];

const POINTWISE: Row[] = [
  ["neg", [[3]], (x) => x.neg()],
  ["abs of positive values", [[3]], (x) => x.abs(), POSITIVE],
  ["abs of negative values", [[3]], (x) => x.abs(), [-2, -0.5]],
  ["exp", [[2, 3]], (x) => x.exp()],
  ["log", [[5]], (x) => x.log(), POSITIVE],
  ["sqrt", [[5]], (x) => x.sqrt(), POSITIVE],
  ["rsqrt", [[5]], (x) => x.rsqrt(), POSITIVE],
  ["reciprocal", [[5]], (x) => x.reciprocal(), [-2, -0.5]],
  ["tanh", [[5]], (x) => x.tanh(), [-3, 3]],
  ["erf", [[5]], (x) => x.erf(), [-3, 3]],
  ["sin", [[5]], (x) => x.sin(), [-4, 4]],
  ["cos", [[5]], (x) => x.cos(), [-4, 4]],
  ["add", [[2, 3], [2, 3]], (a, b) => a.add(b)],
  ["add, both broadcast", [[2, 1], [3]], (a, b) => a.add(b)],
  ["add to itself", [[3]], (a) => a.add(a)],
  ["sub, the first broadcast", [[], [2, 3]], (a, b) => a.sub(b)],
  ["mul", [[2, 3], [2, 3]], (a, b) => a.mul(b)],
  ["mul, inner axis broadcast", [[2, 1, 3], [4, 1]], (a, b) => a.mul(b)],
  ["mul by itself", [[3]], (a) => a.mul(a)],
  ["div", [[2, 3], [2, 3]], (a, b) => a.div(b), POSITIVE],
  ["div, the second broadcast", [[2, 3], [1, 3]], (a, b) => a.div(b), POSITIVE],
  ["maximum", [[9], [9]], (a, b) => a.maximum(b)],
  ["maximum with a number", [[9]], (a) => a.maximum(0.1)],
  ["minimum", [[9], [9]], (a, b) => a.minimum(b)],
  ["pow", [[4], [4]], (a, b) => a.pow(b), POSITIVE],
  ["pow with a number", [[4]], (a) => a.pow(2.5), POSITIVE],
  ["select", [[3, 4], [4]], (a, b) => where(iota([3, 4], 1).ge(2), a, b)],
  ["cast and back", [[3]], (x) => x.mul(x.ge(0).cast("f32"))],
];

const SHAPES: Row[] = [
  ["sum of all", [[2, 3]], (x) => x.sum()],
  ["sum of outer axes, kept", [[2, 3, 4]], (x) => x.sum([0, 2], { keepDims: true })],
  ["mean", [[2, 5]], (x) => x.mean(1)],
  ["max", [[3, 5]], (x) => x.max(1)],
  ["max of all", [[2, 3]], (x) => x.max()],
  ["reshape", [[2, 6]], (x) => x.reshape([3, 4])],
  ["transpose", [[2, 3, 4]], (x) => x.transpose([2, 0, 1])],
  ["broadcast", [[2, 1, 3]], (x) => x.broadcastTo([5, 2, 4, 3])],
  ["broadcast of a scalar", [[]], (x) => x.broadcastTo([3])],
  ["slice", [[4, 5]], (x) => x.slice([1, 2], [3, 5])],
  ["pad", [[2, 3]], (x) => x.pad([1, 0], [2, 1])],
  ["concat", [[2, 1], [2, 3], [2, 2]], (a, b, c) => concat([a, b, c], 1)],
  ["concat with itself", [[2, 3]], (a) => concat([a, a], 0)],
  ["gather", [[4, 3]], (x) => x.gather(someIndices(6, 4))],
  ["gather of a list by a grid", [[4]], (x) => x.gather(someIndices(6, 4).reshape([2, 3]))],
  ["gather past the end", [[4, 2]], (x) => x.gather(iota([5], 0).mul(2).sub(2))],
  ["scatterAdd", [[6, 2]], (x) => x.scatterAdd(someIndices(6, 4), 5)],
  ["scatterAdd past the end", [[5]], (x) => x.scatterAdd(iota([5], 0).mul(2).sub(2), 4)],
];

const PRODUCTS: Row[] = [
  ["matmul", [[3, 4], [4, 2]], (a, b) => a.matmul(b)],
  ["matmul, a transposed", [[4, 3], [4, 2]], (a, b) => a.matmul(b, { transA: true })],
  ["matmul, b transposed", [[3, 4], [2, 4]], (a, b) => a.matmul(b, { transB: true })],
  ["matmul, both transposed", [[4, 3], [2, 4]], (a, b) => a.matmul(b, { transA: true, transB: true })],
  ["matmul in batches", [[2, 3, 2], [2, 2, 4]], (a, b) => a.matmul(b)],
  ["matmul with b shared", [[2, 2, 3, 2], [2, 4]], (a, b) => a.matmul(b)],
  ["matmul with a shared", [[3, 2], [3, 2, 1]], (a, b) => a.matmul(b)],
  ["matmul with itself", [[3, 3]], (a) => a.matmul(a, { transB: true })],
];

const COMPOSITES: Row[] = [
  ["softmax", [[3, 5]], (x) => x.softmax(), [-2, 2]],
  ["logSoftmax", [[2, 2, 3]], (x) => x.logSoftmax(), [-2, 2]],
  ["layerNorm", [[2, 3, 5], [5], [5]], (x, gamma, beta) => x.layerNorm(gamma, beta, 1e-3)],
  ["layerNorm of one row", [[6], [6], [6]], (x, gamma, beta) => x.layerNorm(gamma, beta)],
  ["gelu", [[7]], (x) => x.gelu(), [-3, 3]],
  ["crossEntropy", [[4, 5]], (x) => x.crossEntropy(someIndices(4, 5))],
  ["crossEntropy of few classes", [[4, 5]], (x) => x.crossEntropy(someIndices(4, 3), { classes: 3 })],
  ["attention, causal", [[2, 1, 3, 2], [2, 1, 3, 2], [2, 1, 3, 2]], (q, k, v) => attention(q, k, v)],
  [
    "attention to more keys",
    [[1, 2, 2, 3], [1, 2, 4, 3], [1, 2, 4, 3]],
    (q, k, v) => attention(q, k, v, { causal: false, scale: 0.7 }),
  ],
  ["linearCrossEntropy", [[4, 3], [5, 3]], (x, w) => x.linearCrossEntropy(w, someIndices(4, 5))],
  [
    "linearCrossEntropy of few classes",
    [[4, 3], [5, 3]],
    (x, w) => x.linearCrossEntropy(w, someIndices(4, 3), { classes: 3 }),
  ],
];

/** All cases. */
export const GRADIENT_CASES: readonly GradientCase[] = [...POINTWISE, ...SHAPES, ...PRODUCTS, ...COMPOSITES]
  .map(([name, shapes, fn, range]) => ({ name, shapes, fn, ...(range ? { range } : {}) }));
