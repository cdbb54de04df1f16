import { attention, type Tensor } from "../../compiler/mod.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, compute, f32, i32, random, type Values } from "./compute.ts";

const SEED = 5;

/** Rows of the last axis. */
function rowsOf({ data, shape }: Values): number[][] {
  const width = shape[shape.length - 1];
  return Array.from({ length: data.length / width }, (_, r) => data.slice(r * width, (r + 1) * width));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function softmaxOf(row: readonly number[]): number[] {
  const exps = row.map((value) => Math.exp(value));
  return exps.map((value) => value / sumOf(exps));
}

Deno.test("a row's softmax is exp over the sum of exps, at any rank", () => {
  for (const shape of [[1], [5], [3, 7], [2, 3, 4]]) {
    const x = random(new Prng(SEED), shape, -3, 3);
    const expected = rowsOf(x).flatMap(softmaxOf);
    assertValues(compute((x) => x.softmax(), x), f32(expected, shape));
    assertValues(compute((x) => x.logSoftmax(), x), f32(expected.map(Math.log), shape), 1e-11);
  }
});

Deno.test("softmax neither overflows nor divides 0 by 0", () => {
  const x = f32([1e4, 1e4 - 1, -1e30, -1e4, -1e4 - 1, -1e30], [2, 3]);
  const [high, low] = softmaxOf([0, -1]);
  assertValues(compute((x) => x.softmax(), x), f32([high, low, 0, high, low, 0], [2, 3]));
  assertValues(
    compute((x) => x.logSoftmax(), f32([1e4, 1e4 - 1])),
    f32([Math.log(high), Math.log(low)]),
  );
});

Deno.test("layerNorm gives rows mean beta and deviation gamma", () => {
  for (const shape of [[4], [3, 7], [2, 3, 5]]) {
    const prng = new Prng(SEED);
    const width = shape[shape.length - 1];
    const [x, gamma, beta] = [random(prng, shape), random(prng, [width]), random(prng, [width])];
    const eps = 0.01;
    const expected = rowsOf(x).flatMap((row) => {
      const mean = sumOf(row) / width;
      const variance = sumOf(row.map((value) => (value - mean) ** 2)) / width;
      return row.map((value, i) => (value - mean) / Math.sqrt(variance + eps) * gamma.data[i] + beta.data[i]);
    });
    const actual = compute((x, gamma, beta) => x.layerNorm(gamma, beta, eps), x, gamma, beta);
    assertValues(actual, f32(expected, shape));
  }
});

Deno.test("the deviation of far values is not lost to the size of their mean", () => {
  const ones = f32([1, 1, 1, 1]);
  const zeros = f32([0, 0, 0, 0]);
  const far = compute(
    (x, gamma, beta) => x.layerNorm(gamma, beta, 0),
    f32([1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]),
    ones,
    zeros,
  );
  const scale = Math.sqrt(1.25);
  assertValues(far, f32([-1.5, -0.5, 0.5, 1.5].map((value) => value / scale)), 1e-9);
});

Deno.test("gelu has the values of its tanh form", () => {
  const x = [-100, -3, -1, -0.5, 0, 0.5, 1, 3, 100];
  const expected = x.map((v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))));
  assertValues(compute((x) => x.gelu(), f32(x)), f32(expected));
  // The value that PyTorch documents for approximate="tanh" at 1.
  assertValues(compute((x) => x.gelu(), f32([1])), f32([0.8411919906]), 1e-9);
});

Deno.test("cross-entropy is the mean of -log p of the target, and columns past the classes have no part", () => {
  const [rows, columns] = [5, 7];
  const logits = random(new Prng(SEED), [rows, columns], -2, 2);
  const targets = [0, 4, 2, 2, 1];
  for (const classes of [7, 5]) {
    const losses = rowsOf(logits).map((row, i) => -Math.log(softmaxOf(row.slice(0, classes))[targets[i]]));
    const actual = compute(
      (logits, targets) => logits.crossEntropy(targets, { classes }),
      logits,
      i32(targets),
    );
    assertValues(actual, f32([sumOf(losses) / rows], []));
  }
});

/** Attention of one head, query by query. */
function attend(q: number[][], k: number[][], v: number[][], causal: boolean, scale: number): number[] {
  return q.flatMap((query, i) => {
    const seen = causal ? i + 1 : k.length;
    const scores = k.slice(0, seen).map((key) => scale * sumOf(key.map((value, c) => value * query[c])));
    const weights = softmaxOf(scores);
    return query.map((_, c) => sumOf(weights.map((weight, j) => weight * v[j][c])));
  });
}

Deno.test("attention averages values by the softmax of scores; a causal query sees no later key", () => {
  const shape = [2, 3, 5, 4];
  const prng = new Prng(SEED);
  const [q, k, v] = [random(prng, shape), random(prng, shape), random(prng, shape)];
  for (const causal of [true, false]) {
    for (const scale of [0.5, 1.7]) {
      const heads = (x: Values) => rowsOf({ ...x, shape: [6, 20] }).map((data) => rowsOf(f32(data, [5, 4])));
      const expected = heads(q).flatMap((head, i) => attend(head, heads(k)[i], heads(v)[i], causal, scale));
      const actual = compute((q, k, v) => attention(q, k, v, { causal, scale }), q, k, v);
      assertValues(actual, f32(expected, shape), 1e-12, `causal ${causal}`);
    }
  }
});

Deno.test("attention scales by 1 / sqrt(D) and is causal unless told otherwise", () => {
  const shape = [1, 1, 3, 4];
  const prng = new Prng(SEED);
  const inputs = [random(prng, shape), random(prng, shape), random(prng, shape)];
  const plain = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v);
  const spelled = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true, scale: 0.5 });
  assertValues(compute(plain, ...inputs), compute(spelled, ...inputs), 0);
});

Deno.test("attention takes more keys than queries", () => {
  const prng = new Prng(SEED);
  const [q, k, v] = [random(prng, [1, 1, 2, 3]), random(prng, [1, 1, 5, 3]), random(prng, [1, 1, 5, 3])];
  const expected = attend(rowsOf(q), rowsOf(k), rowsOf(v), false, 1);
  const actual = compute((q, k, v) => attention(q, k, v, { causal: false, scale: 1 }), q, k, v);
  assertValues(actual, f32(expected, [1, 1, 2, 3]));
});
