import { assertEquals } from "@std/assert";
import { constant, type Tensor, where } from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { assertValues, bool, compute, f32, i32, u32, type Values } from "./compute.ts";

type Unary = [op: string, fn: (x: Tensor) => Tensor, x: Values, expected: Values];
type Binary = [op: string, fn: (a: Tensor, b: Tensor) => Tensor, a: Values, b: Values, expected: Values];

const UNARY: Unary[] = [
  ["neg", (x) => x.neg(), f32([1.5, -2, 0.25]), f32([-1.5, 2, -0.25])],
  ["neg", (x) => x.neg(), i32([7, -(2 ** 31)]), i32([-7, -(2 ** 31)])],
  ["abs", (x) => x.abs(), f32([1.5, -2, 0]), f32([1.5, 2, 0])],
  ["exp", (x) => x.exp(), f32([0, 1, -1]), f32([1, 2.718281828459045, 0.36787944117144233])],
  ["log", (x) => x.log(), f32([1, 2, 10]), f32([0, 0.6931471805599453, 2.302585092994046])],
  ["sqrt", (x) => x.sqrt(), f32([0, 4, 2]), f32([0, 2, 1.4142135623730951])],
  ["rsqrt", (x) => x.rsqrt(), f32([4, 0.25, 1]), f32([0.5, 2, 1])],
  ["reciprocal", (x) => x.reciprocal(), f32([4, -0.5, 1]), f32([0.25, -2, 1])],
  ["tanh", (x) => x.tanh(), f32([0, 0.5, -100]), f32([0, 0.46211715726000973, -1])],
  [
    "erf",
    (x) => x.erf(),
    // Abramowitz and Stegun, table 7.1; on both sides of the place where the method changes.
    f32([0, 0.5, -1, 2, 2.4, 2.6, -3, 7]),
    f32([
      0,
      0.5204998778,
      -0.8427007929,
      0.9953222650,
      0.9993114861,
      0.9997639656,
      -0.9999779095,
      1,
    ]),
  ],
  ["sin", (x) => x.sin(), f32([0, Math.PI / 6, -Math.PI / 2]), f32([0, 0.5, -1])],
  ["cos", (x) => x.cos(), f32([0, Math.PI / 3, Math.PI]), f32([1, 0.5, -1])],
  ["floor", (x) => x.floor(), f32([1.5, -1.5, 2]), f32([1, -2, 2])],
  [
    "isFinite",
    (x) => x.isFinite(),
    f32([0, -3e38, Infinity, -Infinity, NaN]),
    bool([true, true, false, false, false]),
  ],
  ["not", (x) => x.not(), bool([true, false]), bool([false, true])],
];

const BINARY: Binary[] = [
  ["add", (a, b) => a.add(b), f32([1, 2]), f32([0.5, -3]), f32([1.5, -1])],
  ["add", (a, b) => a.add(b), i32([2 ** 31 - 1]), i32([1]), i32([-(2 ** 31)])],
  ["sub", (a, b) => a.sub(b), f32([1, 2]), f32([0.5, -3]), f32([0.5, 5])],
  ["sub", (a, b) => a.sub(b), u32([1]), u32([2]), u32([2 ** 32 - 1])],
  ["mul", (a, b) => a.mul(b), f32([1.5, 2]), f32([-2, 0.25]), f32([-3, 0.5])],
  ["mul", (a, b) => a.mul(b), i32([65_537]), i32([65_537]), i32([131_073])],
  ["mul", (a, b) => a.mul(b), u32([2 ** 32 - 1]), u32([3]), u32([2 ** 32 - 3])],
  ["div", (a, b) => a.div(b), f32([1, -3]), f32([4, 2]), f32([0.25, -1.5])],
  ["div", (a, b) => a.div(b), i32([7, -7]), i32([2, 2]), i32([3, -3])],
  ["div", (a, b) => a.div(b), u32([2 ** 32 - 1]), u32([2]), u32([2 ** 31 - 1])],
  ["maximum", (a, b) => a.maximum(b), f32([1, -2, 3]), f32([0, 5, 3]), f32([1, 5, 3])],
  ["minimum", (a, b) => a.minimum(b), f32([1, -2, 3]), f32([0, 5, 3]), f32([0, -2, 3])],
  ["pow", (a, b) => a.pow(b), f32([2, 9, 4]), f32([10, 0.5, -1]), f32([1024, 3, 0.25])],
  ["eq", (a, b) => a.eq(b), i32([1, 2, 3]), i32([1, 3, 2]), bool([true, false, false])],
  ["ne", (a, b) => a.ne(b), i32([1, 2, 3]), i32([1, 3, 2]), bool([false, true, true])],
  ["lt", (a, b) => a.lt(b), f32([1, 2, 3]), f32([1, 3, 2]), bool([false, true, false])],
  ["le", (a, b) => a.le(b), f32([1, 2, 3]), f32([1, 3, 2]), bool([true, true, false])],
  ["gt", (a, b) => a.gt(b), f32([1, 2, 3]), f32([1, 3, 2]), bool([false, false, true])],
  ["ge", (a, b) => a.ge(b), f32([1, 2, 3]), f32([1, 3, 2]), bool([true, false, true])],
  [
    "and",
    (a, b) => a.and(b),
    bool([false, false, true, true]),
    bool([false, true, false, true]),
    bool([false, false, false, true]),
  ],
  [
    "or",
    (a, b) => a.or(b),
    bool([false, false, true, true]),
    bool([false, true, false, true]),
    bool([false, true, true, true]),
  ],
];

Deno.test("every unary op has the values of its definition", () => {
  for (const [op, fn, x, expected] of UNARY) assertValues(compute(fn, x), expected, 2e-10, op);
});

Deno.test("every binary op has the values of its definition, integers wrap and divide towards 0", () => {
  for (const [op, fn, a, b, expected] of BINARY) assertValues(compute(fn, a, b), expected, 1e-12, op);
});

Deno.test("no pointwise op is left out of these tables", () => {
  const covered = new Set([...UNARY, ...BINARY].map(([op]) => op)).add("select").add("cast");
  const pointwise = Object.keys(OPS).filter((op) => OPS[op].class === "pointwise");
  assertEquals(pointwise.filter((op) => !covered.has(op)), []);
});

Deno.test("select takes its first value where the condition holds", () => {
  const condition = bool([true, false, true]);
  const chosen = compute((c, a, b) => where(c, a, b), condition, f32([1, 2, 3]), f32([4, 5, 6]));
  assertValues(chosen, f32([1, 5, 3]));
  assertValues(compute((c, a) => a.where(c, -7), condition, i32([1, 2, 3])), i32([1, -7, 3]));
});

Deno.test("a cast keeps an integer's bits, and a float stops at the ends of the range", () => {
  const cases: [Values, Values][] = [
    [f32([1.9, -1.9, 3e9, -3e9]), i32([1, -1, 2 ** 31 - 1, -(2 ** 31)])],
    [f32([1.9, -1.9, 5e9]), u32([1, 0, 2 ** 32 - 1])],
    [i32([-1, 5]), u32([2 ** 32 - 1, 5])],
    [u32([2 ** 32 - 1, 5]), i32([-1, 5])],
    [i32([-1, 5]), f32([-1, 5])],
    [u32([2 ** 32 - 1]), f32([2 ** 32 - 1])],
    [bool([true, false]), f32([1, 0])],
    [bool([true, false]), i32([1, 0])],
    [f32([0, -0.5, 2]), bool([false, true, true])],
    [i32([0, -3]), bool([false, true])],
    [f32([1.0001, 65_504, 2 ** -25]), { shape: [3], dtype: "f16", data: [1, 65_504, 0] }],
  ];
  for (const [from, to] of cases) {
    assertValues(compute((x) => x.cast(to.dtype), from), to, 0, `${from.dtype} to ${to.dtype}`);
  }
});

Deno.test("operands of other shapes are broadcast by NumPy's rules, from either side", () => {
  const column = f32([10, 20], [2, 1]);
  const row = f32([1, 2, 3]);
  const sum = f32([11, 12, 13, 21, 22, 23], [2, 3]);
  assertValues(compute((a, b) => a.add(b), column, row), sum);
  assertValues(compute((a, b) => a.add(b), row, column), sum);
  const scalar = f32([100], []);
  assertValues(compute((a, b) => a.sub(b), scalar, row), f32([99, 98, 97]));
  const deep = f32([1, 2, 3, 4], [2, 1, 2]);
  assertValues(
    compute((a, b) => a.mul(b), deep, f32([1, 10, 100], [3, 1])),
    f32([1, 2, 10, 20, 100, 200, 3, 4, 30, 40, 300, 400], [2, 3, 2]),
  );
});

Deno.test("all three operands of a selection are broadcast together", () => {
  const chosen = compute(
    (condition, a, b) => a.where(condition, b),
    bool([true, false], [2, 1]),
    f32([1, 2, 3]),
    f32([0.5], []),
  );
  assertValues(chosen, f32([1, 2, 3, 0.5, 0.5, 0.5], [2, 3]));
});

Deno.test("a number takes the dtype of the tensor that it meets", () => {
  assertValues(compute((x) => x.mul(3).add(1), i32([1, -2])), i32([4, -5]));
  assertValues(compute((x) => x.mul(0.5).sub(1), f32([1, -2])), f32([-0.5, -2]));
  assertValues(compute((x) => x.ge(2), u32([1, 2])), bool([false, true]));
  assertValues(compute((x) => constant(2, "f32").pow(x), f32([3])), f32([8]));
});
