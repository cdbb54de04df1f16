import { assertValues, bool, compute, f32, i32, u32 } from "./compute.ts";
import { concat, iota } from "../../compiler/mod.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** [[0, 1, 2], [3, 4, 5]] */
const GRID = f32(upTo(6), [2, 3]);
/** 0 to 29 in two planes of three rows of five. */
const CUBE = f32(upTo(30), [2, 3, 5]);

Deno.test("a sum adds up the axes that it names, which are dropped or kept with size 1", () => {
  assertValues(compute((x) => x.sum(), GRID), f32([15], []));
  assertValues(compute((x) => x.sum(0), GRID), f32([3, 5, 7]));
  assertValues(compute((x) => x.sum(-1), GRID), f32([3, 12]));
  assertValues(compute((x) => x.sum([1], { keepDims: true }), GRID), f32([3, 12], [2, 1]));
  assertValues(compute((x) => x.sum([0, 2]), CUBE), f32([95, 145, 195]));
  assertValues(
    compute((x) => x.sum([2, 0], { keepDims: true }), CUBE),
    f32([95, 145, 195], [1, 3, 1]),
  );
  assertValues(compute((x) => x.sum([]), GRID), GRID);
});

Deno.test("an integer sum wraps as it does on the device", () => {
  assertValues(compute((x) => x.sum(), i32([2 ** 31 - 1, 1])), i32([-(2 ** 31)], []));
  assertValues(compute((x) => x.sum(), u32([2 ** 32 - 1, 2])), u32([1], []));
});

Deno.test("a mean divides by the number of elements that it adds up", () => {
  assertValues(compute((x) => x.mean(), GRID), f32([2.5], []));
  assertValues(compute((x) => x.mean([0, 2]), CUBE), f32([9.5, 14.5, 19.5]));
  assertValues(compute((x) => x.mean(1, { keepDims: true }), GRID), f32([1, 4], [2, 1]));
});

Deno.test("a maximum is found among negative values as well", () => {
  assertValues(compute((x) => x.max(), f32([-3, -1, -2])), f32([-1], []));
  assertValues(compute((x) => x.sub(100).max([0, 2]), CUBE), f32([-81, -76, -71]));
  assertValues(compute((x) => x.max(0), i32([1, -5, -3, 4], [2, 2])), i32([1, 4]));
});

Deno.test("argmax names the first of equal values, along any axis", () => {
  assertValues(compute((x) => x.argmax(), f32([1, 7, 3, 7])), i32([1], []));
  assertValues(compute((x) => x.argmax(0), f32([1, 9, 5, 8, 2, 5], [2, 3])), i32([1, 0, 0]));
  assertValues(compute((x) => x.argmax(1), CUBE), i32(new Array(10).fill(2), [2, 5]));
});

Deno.test("a reshape keeps the order of elements and works out one size", () => {
  assertValues(compute((x) => x.reshape([3, 2]), GRID), f32(upTo(6), [3, 2]));
  assertValues(compute((x) => x.reshape([5, -1, 3]), CUBE), f32(upTo(30), [5, 2, 3]));
  assertValues(compute((x) => x.reshape([]), f32([4], [1, 1])), f32([4], []));
  assertValues(compute((x) => x.reshape([-1, 1]), f32([4], [])), f32([4], [1, 1]));
});

Deno.test("a transpose moves axis perm[i] to place i, and reverses all without perm", () => {
  assertValues(compute((x) => x.transpose(), GRID), f32([0, 3, 1, 4, 2, 5], [3, 2]));
  const turned = compute((x) => x.transpose([1, 2, 0]), CUBE);
  const expected = upTo(3).flatMap((row) =>
    upTo(5).flatMap((col) => upTo(2).map((plane) => plane * 15 + row * 5 + col))
  );
  assertValues(turned, f32(expected, [3, 5, 2]));
});

Deno.test("a broadcast repeats axes of size 1 and adds leading axes", () => {
  assertValues(compute((x) => x.broadcastTo([2, 3]), f32([1, 2], [2, 1])), f32([1, 1, 1, 2, 2, 2], [2, 3]));
  assertValues(compute((x) => x.broadcastTo([2, 1, 2]), f32([1, 2])), f32([1, 2, 1, 2], [2, 1, 2]));
  assertValues(compute((x) => x.broadcastTo([3]), bool([true], [])), bool([true, true, true]));
});

Deno.test("a slice is the block between starts and ends", () => {
  assertValues(compute((x) => x.slice([1, 1], [2, 3]), GRID), f32([4, 5], [1, 2]));
  assertValues(
    compute((x) => x.slice([0, 1, 3], [2, 3, 5]), CUBE),
    f32([8, 9, 13, 14, 23, 24, 28, 29], [2, 2, 2]),
  );
});

Deno.test("padding is 0, or false, before and after", () => {
  assertValues(
    compute((x) => x.pad([1, 0], [0, 2]), f32([1, 2, 3, 4], [2, 2])),
    f32([0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0], [3, 4]),
  );
  assertValues(compute((x) => x.pad([1], [1]), bool([true])), bool([false, true, false]));
});

Deno.test("tensors join along any axis in the order given", () => {
  const one = f32([7, 8], [2, 1]);
  assertValues(
    compute((a, b) => concat([a, b, a], 1), one, GRID),
    f32([7, 0, 1, 2, 7, 8, 3, 4, 5, 8], [2, 5]),
  );
  assertValues(compute((a, b) => concat([a, b], -1), one, GRID), f32([7, 0, 1, 2, 8, 3, 4, 5], [2, 4]));
  assertValues(compute((a) => concat([a, a], 0), i32([1, 2])), i32([1, 2, 1, 2]));
});

Deno.test("an iota counts along its axis and repeats along the others", () => {
  assertValues(compute(() => iota([2, 3], 1)), i32([0, 1, 2, 0, 1, 2], [2, 3]));
  assertValues(compute(() => iota([2, 3], 0)), i32([0, 0, 0, 1, 1, 1], [2, 3]));
  assertValues(
    compute(() => iota([2, 2, 2], -2)),
    i32([0, 0, 1, 1, 0, 0, 1, 1], [2, 2, 2]),
  );
});
