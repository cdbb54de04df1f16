import { assertEquals } from "@std/assert";
import { BASELINE, decompose, evaluate, trace } from "../../compiler/mod.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, compute, f32, i32, random, u32 } from "./compute.ts";

/** Rows [1, 2], [3, 4], [5, 6]. */
const TABLE = f32([1, 2, 3, 4, 5, 6], [3, 2]);

Deno.test("gather copies rows in the order of the indices, and a row outside is 0", () => {
  assertValues(
    compute((table, at) => table.gather(at), TABLE, i32([2, -1, 0, 3, 2])),
    f32([5, 6, 0, 0, 1, 2, 0, 0, 5, 6], [5, 2]),
  );
  assertValues(compute((table, at) => table.gather(at), TABLE, u32([1], [])), f32([3, 4]));
  assertValues(
    compute((table, at) => table.gather(at), i32([7, 8, 9]), i32([2, 0, 1, 1], [2, 2])),
    i32([9, 7, 8, 8], [2, 2]),
  );
});

Deno.test("argsort leaves equal keys in their order", () => {
  assertValues(
    compute((keys) => keys.argsort(), i32([3, -1, 3, 0, -1, 2 ** 31 - 1, -(2 ** 31)])),
    i32([6, 1, 4, 3, 0, 2, 5]),
  );
});

Deno.test("searchSorted counts entries below each value", () => {
  assertValues(
    compute((sorted) => sorted.searchSorted(5), i32([-2, 0, 0, 2, 7])),
    i32([1, 3, 3, 4, 4]),
  );
});

Deno.test("segmentSum adds up the rows that the order names between two offsets", () => {
  const sums = compute(
    (updates, order, offsets) => updates.segmentSum(order, offsets),
    f32([1, 10, 2, 20, 3, 30, 4, 40], [4, 2]),
    i32([2, 0, 3, 1]),
    i32([0, 2, 2, 3]),
  );
  assertValues(sums, f32([4, 40, 0, 0, 4, 40], [3, 2]));
});

Deno.test("scatterAdd adds rows of equal index and drops those outside", () => {
  assertValues(
    compute((updates, at) => updates.scatterAdd(at, 3), f32([1, 2, 4, 8, 16]), i32([2, 0, 2, -1, 3])),
    f32([2, 0, 5]),
  );
  assertValues(
    compute((updates, at) => updates.scatterAdd(at, 2), TABLE, u32([1, 1, 2 ** 32 - 1])),
    f32([0, 0, 4, 6], [2, 2]),
  );
});

Deno.test("scatterAdd splits updates that are more than a loop may count", () => {
  const seed = 11;
  const prng = new Prng(seed);
  const updates = random(prng, [23, 3]);
  const at = Array.from({ length: 23 }, () => prng.integer(-1, 5));
  const graph = trace(({ updates, at }) => ({ y: updates.scatterAdd(at, 5) }), {
    updates: { shape: [23, 3], dtype: "f32", role: "batch" },
    at: { shape: [23], dtype: "i32", role: "batch" },
  });
  const split = decompose(graph, { ...BASELINE, maxLoopIterations: 10 });
  assertEquals(split.nodes.filter(({ op }) => op === "argsort").map(({ shape }) => shape), [[10], [10], [3]]);
  const expected = new Array<number>(15).fill(0);
  at.forEach((row, i) => {
    if (row < 0 || row >= 5) return;
    for (let c = 0; c < 3; c++) expected[row * 3 + c] += updates.data[i * 3 + c];
  });
  const { y } = evaluate(split, { updates: updates.data, at });
  assertValues(f32([...y], [5, 3]), f32(expected, [5, 3]), 1e-12, `seed ${seed}`);
});
