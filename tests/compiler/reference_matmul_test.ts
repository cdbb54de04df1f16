import { type Shape, sizeOf } from "../../compiler/mod.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, compute, f32, random, type Values } from "./compute.ts";

/** The definition, element by element: a [batch, M, K] or transposed, b [batch, K, N] or transposed. */
function product(
  a: Values,
  b: Values,
  shape: Shape,
  depth: number,
  transA: boolean,
  transB: boolean,
): Values {
  const [rows, cols] = shape.slice(-2);
  const data = Array.from({ length: sizeOf(shape) }, (_, i) => {
    const [z, m, n] = [Math.floor(i / (rows * cols)), Math.floor(i / cols) % rows, i % cols];
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      const left = a.data[z * rows * depth + (transA ? k * rows + m : m * depth + k)];
      sum += left * b.data[z * cols * depth + (transB ? n * depth + k : k * cols + n)];
    }
    return sum;
  });
  return f32(data, shape);
}

Deno.test("products of every layout, at odd sizes and in batches, are sums of products", () => {
  const seed = 3;
  const prng = new Prng(seed);
  for (const batch of [[], [1], [2, 3]]) {
    for (const [rows, cols, depth] of [[1, 1, 1], [3, 5, 7], [1, 4, 2], [6, 1, 3]]) {
      for (const transA of [false, true]) {
        for (const transB of [false, true]) {
          const a = random(prng, [...batch, ...(transA ? [depth, rows] : [rows, depth])]);
          const b = random(prng, [...batch, ...(transB ? [cols, depth] : [depth, cols])]);
          const expected = product(a, b, [...batch, rows, cols], depth, transA, transB);
          const actual = compute((a, b) => a.matmul(b, { transA, transB }), a, b);
          assertValues(actual, expected, 1e-12, `seed ${seed}: [${a.shape}] by [${b.shape}]`);
        }
      }
    }
  }
});

Deno.test("batch axes of a product are broadcast from either side", () => {
  const a = f32([1, 2, 3, 4], [2, 1, 2]);
  const b = f32([1, 0, 0, 1], [2, 2]);
  assertValues(compute((a, b) => a.matmul(b), a, b), a);
  const c = f32([10, 20, 30, 40], [2, 2, 1]);
  assertValues(
    compute((a, c) => a.matmul(c), f32([1, 2], [1, 2]), c),
    f32([50, 110], [2, 1, 1]),
  );
  assertValues(
    compute((a, c) => a.matmul(c), f32([1, 2, 3, 4, 5, 6], [3, 1, 1, 2]), c),
    f32([50, 110, 110, 250, 170, 390], [3, 2, 1, 1]),
  );
});
