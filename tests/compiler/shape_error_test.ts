import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  attention,
  cachedAttention,
  concat,
  constant,
  type DType,
  iota,
  randomBits,
  type Shape,
  ShapeError,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";

/** Inputs of all kinds; `build` must be refused. */
function refused(build: (inputs: Record<string, Tensor>) => unknown): ShapeError {
  const batch = (shape: Shape, dtype: DType = "f32") => ({ shape, dtype, role: "batch" } as const);
  const specs = {
    scalar: batch([]),
    list: batch([3]),
    grid: batch([2, 3]),
    wide: batch([2, 4]),
    cube: batch([4, 2, 3]),
    half: batch([2, 3], "f16"),
    ints: batch([3], "i32"),
    flags: batch([3], "bool"),
    heads: batch([1, 2, 3, 4]),
    fewer: batch([1, 1, 3, 4]),
  };
  return assertThrows(() =>
    trace((inputs) => {
      build(inputs);
      return {};
    }, specs), ShapeError);
}

type Mistake = [op: string, problem: string, build: (inputs: Record<string, Tensor>) => unknown];

const MISTAKES: Mistake[] = [
  ["add", "shapes [2,3] and [2,4] do not fit", ({ grid, wide }) => grid.add(wide)],
  ["add", "dtypes f32 and i32 differ", ({ list, ints }) => list.add(ints)],
  ["mul", "expected numbers but got bool", ({ flags }) => flags.mul(flags)],
  ["exp", "expected float values but got i32", ({ ints }) => ints.exp()],
  ["not", "expected bool values but got f32", ({ list }) => list.not()],
  ["and", "expected bool values but got f32", ({ list, flags }) => list.and(flags)],
  ["select", "expected bool values but got f32", ({ list }) => list.where(list, 0)],
  ["select", "shapes [2,3] and [2,4] do not fit", ({ grid, wide, flags }) => grid.where(flags, wide)],
  ["constant", "0.5 is no value of i32", ({ ints }) => ints.mul(0.5)],
  ["constant", "-1 is no value of u32", () => constant(-1, "u32")],
  ["constant", "Infinity is no value of f32", ({ list }) => list.minimum(Infinity)],
  ["constant", "NaN is no value of f32", ({ list }) => list.add(NaN)],
  ["constant", "1e+39 is no value of f32", ({ list }) => list.add(1e39)],
  ["sum", "axis 2 does not exist in shape [2,3]", ({ grid }) => grid.sum(2)],
  ["sum", "axis -3 does not exist in shape [2,3]", ({ grid }) => grid.sum(-3)],
  ["sum", "axis 1 is named twice", ({ grid }) => grid.sum([1, -1])],
  ["max", "cannot reduce bool values: cast them first", ({ flags }) => flags.max()],
  ["mean", "expected float values but got i32", ({ ints }) => ints.mean()],
  ["argmax", "axis -1 does not exist in shape []", ({ scalar }) => scalar.argmax()],
  [
    "reshape",
    "cannot give the 6 elements of [2,3] the shape [4,2]",
    ({ grid }) => grid.reshape([4, 2]),
  ],
  [
    "reshape",
    "cannot give the 6 elements of [2,3] the shape [4,-1]",
    ({ grid }) => grid.reshape([4, -1]),
  ],
  ["transpose", "perm [0,0] is no permutation of 2 axes", ({ grid }) => grid.transpose([0, 0])],
  ["transpose", "perm [0] must have 2 entries", ({ grid }) => grid.transpose([0])],
  ["broadcast", "cannot broadcast [2,3] to [3]", ({ grid }) => grid.broadcastTo([3])],
  ["broadcast", "cannot broadcast [2,3] to [2,4]", ({ grid }) => grid.broadcastTo([2, 4])],
  [
    "slice",
    "no range 1 to 4 on axis 1 of shape [2,3]",
    ({ grid }) => grid.slice([0, 1], [2, 4]),
  ],
  ["slice", "no range 1 to 1 on axis 0 of shape [2,3]", ({ grid }) => grid.slice([1, 0], [1, 3])],
  ["slice", "starts [0] must have 2 entries", ({ grid }) => grid.slice([0], [1])],
  ["pad", "padding cannot be negative", ({ list }) => list.pad([-1], [0])],
  ["concat", "f32[2,4] does not fit f32[2,3] along axis 0", ({ grid, wide }) => concat([grid, wide], 0)],
  ["concat", "axis 1 does not exist in shape [3]", ({ list }) => concat([list, list], 1)],
  ["concat", "needs at least one tensor", () => concat([], 0)],
  ["iota", "axis 1 does not exist in shape [4]", () => iota([4], 1)],
  ["iota", "shape [2,0] has a size that is no positive integer", () => iota([2, 0], 0)],
  ["random", "the key is u32, not f32", ({ list }) => randomBits(list, [3], 0)],
  [
    "random",
    "a key of shape [3] is neither a scalar nor one for each of 2 rows",
    ({ ints }) => randomBits(ints.cast("u32"), [2, 3], 0),
  ],
  ["gather", "indices must be i32 or u32, not f32", ({ grid, list }) => grid.gather(list)],
  ["gather", "cannot gather from a scalar", ({ scalar, ints }) => scalar.gather(ints)],
  ["scatterAdd", "2 updates do not fit 3 indices", ({ grid, ints }) => grid.scatterAdd(ints, 5)],
  ["setRows", "rows must be f32[3,3], not f32[2,3]", ({ grid, ints }) => grid.setRows(ints, grid)],
  ["setRows", "a scalar has no rows", ({ scalar, ints, list }) => scalar.setRows(ints, list)],
  [
    "cachedAttention",
    "slot must be i32[1] but is i32[3]",
    ({ heads, ints }) => cachedAttention(heads, { keys: heads, values: heads, slot: ints, last: ints }),
  ],
  ["argsort", "keys must be i32[n], not f32[3]", ({ list }) => list.argsort()],
  ["matmul", "cannot multiply [2,3] by [2,4]", ({ grid, wide }) => grid.matmul(wide)],
  [
    "matmul",
    "cannot multiply [2,3] by [2,4] (b transposed)",
    ({ grid, wide }) => grid.matmul(wide, { transB: true }),
  ],
  ["matmul", "cannot multiply [2,3] by [3]: two axes at least", ({ grid, list }) => grid.matmul(list)],
  ["matmul", "cannot multiply f32 by f16", ({ grid, half }) => grid.matmul(half, { transB: true })],
  [
    "matmul",
    "shapes [4] and [1,2] do not fit",
    ({ cube, heads }) => cube.matmul(heads),
  ],
  ["softmax", "expected float values but got i32", ({ ints }) => ints.softmax()],
  ["softmax", "a scalar has no rows", ({ scalar }) => scalar.softmax()],
  ["layerNorm", "gamma must be f32[4] but is f32[3]", ({ wide, list }) => wide.layerNorm(list, list)],
  ["layerNorm", "gamma must be f16[3] but is f32[3]", ({ half, list }) => half.layerNorm(list, list)],
  ["gelu", "expected float values but got bool", ({ flags }) => flags.gelu()],
  [
    "crossEntropy",
    "targets must be i32[2] but are i32[3]",
    ({ grid, ints }) => grid.crossEntropy(ints),
  ],
  [
    "crossEntropy",
    "classes must be 1 to 3, not 4",
    ({ grid, ints }) => grid.crossEntropy(ints.slice([0], [2]), { classes: 4 }),
  ],
  [
    "linearCrossEntropy",
    "x [2,3] does not fit w [2,4]",
    ({ grid, wide, ints }) => grid.linearCrossEntropy(wide, ints),
  ],
  ["attention", "q of shape [2,3] must have 4 axes", ({ grid }) => attention(grid, grid, grid)],
  [
    "attention",
    "q [1,2,3,4], k [1,1,3,4] and v [1,1,3,4] do not fit: expected [B, H, T, D]",
    ({ heads, fewer }) => attention(heads, fewer, fewer),
  ],
];

for (const [op, problem, build] of MISTAKES) {
  Deno.test(`${op} is refused where it stands: ${problem}`, () => {
    const error = refused(build);
    assertEquals([error.op, error.problem], [op, problem]);
    assert(error.site?.startsWith("tests/compiler/shape_error_test.ts:"), error.site);
    assertEquals(error.message, `${op}: ${problem} (at ${error.site})`);
  });
}

Deno.test("an error names the very line of the call", () => {
  const here = Number(/:(\d+):\d+\)?$/m.exec(new Error().stack!.split("\n")[1])![1]);
  const error = refused(({ grid, wide }) => {
    const sum = grid.add(1);
    return sum.matmul(wide);
  });
  assertEquals(error.site, `tests/compiler/shape_error_test.ts:${here + 3}`);
});

Deno.test("tensors of one trace are refused by another, and after their own has ended", () => {
  const specs = { x: { shape: [2], dtype: "f32", role: "batch" } } as const;
  let kept: Tensor | undefined;
  trace(({ x }) => {
    kept = x;
    return { y: x.neg() };
  }, specs);
  const ended = assertThrows(() => kept!.exp(), ShapeError);
  assertEquals(ended.problem, "tensors exist only while a function is being traced");
  assert(ended.site?.startsWith("tests/compiler/shape_error_test.ts:"), ended.site);
  assertThrows(() => constant(1, "f32"), ShapeError, "tensors exist only while a function is being traced");
  for (const mix of [(x: Tensor) => x.add(kept!), (x: Tensor) => concat([kept!, x], 0)]) {
    assertThrows(() => trace(({ x }) => ({ y: mix(x) }), specs), ShapeError, "belong to different traces");
  }
});
