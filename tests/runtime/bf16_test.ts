/**
 * bf16 on the device: two numbers share a word, so each kernel has to take them apart and put them together without
 * touching the neighbour.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BASELINE,
  compileGraph,
  evaluate,
  GraphError,
  type InputSpec,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";
import { openDevice } from "../../runtime/mod.ts";

type Case = [
  name: string,
  shapes: Record<string, readonly number[]>,
  f: (x: Record<string, Tensor>) => Tensor,
];

/** Odd rows and depths, columns that are multiples of 4; some results in f32, so that they may be odd as well. */
const CASES: readonly Case[] = [
  ["elementwise", { a: [7, 20], b: [7, 20] }, ({ a, b }) => a.mul(b).add(0.3)],
  ["a broadcast scalar in each row", { a: [7, 20], b: [7, 1] }, ({ a, b }) => a.add(b)],
  ["a product, right transposed", { a: [33, 20], b: [12, 20] }, ({ a, b }) => a.matmul(b, { transB: true })],
  ["a product, left transposed", { a: [21, 9], b: [21, 12] }, ({ a, b }) => a.matmul(b, { transA: true })],
  ["a product to f32 of odd width", { a: [5, 7], b: [7, 9] }, ({ a, b }) => a.matmul(b).cast("f32")],
  ["a transpose", { a: [8, 13] }, ({ a }) => a.transpose().cast("f32")],
  ["a slice that begins inside a word", { a: [8, 13] }, ({ a }) => a.slice([1, 3], [8, 11]).cast("f32")],
  [
    "rows looked up",
    { a: [6, 12] },
    ({ a }) => a.gather(a.cast("f32").sum([1]).mul(2).cast("i32").maximum(0)),
  ],
  ["softmax of rows", { a: [9, 12] }, ({ a }) => a.softmax()],
  ["column sums in f32", { a: [200, 12] }, ({ a }) => a.cast("f32").sum([0])],
];

const value = (i: number) => Math.round(Math.sin(i * 1.7) * 32) / 32;
const bitsOf = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0] >>> 16;
const spec = (shape: readonly number[]): InputSpec => ({ shape, dtype: "bf16", role: "batch" });

for (const [name, shapes, f] of CASES) {
  Deno.test(`${name} in bf16 gives the reference's values`, async () => {
    const specs = Object.fromEntries(Object.entries(shapes).map(([input, shape]) => [input, spec(shape)]));
    const graph = trace((inputs) => ({ y: f(inputs) }), specs);
    const values = Object.fromEntries(
      Object.entries(shapes).map(([input, shape], k) => [
        input,
        Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i + 100 * k)),
      ]),
    );
    const expected = evaluate(graph, values).y;
    const scale = Math.max(1, ...expected.map(Math.abs));
    const device = await openDevice();
    try {
      for (const target of [device.capabilities, { ...device.capabilities, ...BASELINE }]) {
        const loaded = await device.load(compileGraph(graph, target), device.createStates());
        const batch = Object.entries(values).map(([input, data]) => [input, Uint16Array.from(data, bitsOf)]);
        loaded.run({ batch: Object.fromEntries(batch) });
        const { y } = await loaded.readAll();
        // One rounding to 8 bits.
        for (const [i, want] of expected.entries()) {
          assert(Math.abs(y[i] - want) <= 2 ** -8 * scale, `y[${i}] is ${y[i]}, the reference says ${want}`);
        }
      }
    } finally {
      device.destroy();
    }
  });
}

Deno.test("f32 becomes the nearest bf16, ties to even; infinities and NaN stay what they are", async () => {
  const values = [1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8 - 2 ** -20, 3.4e38, -Infinity, NaN, 0];
  const expected = [1, 1, 1 + 2 ** -6, -1 - 2 ** -7, Infinity, -Infinity, NaN, 0];
  const graph = trace(({ x }) => ({ y: x.cast("bf16") }), {
    x: { shape: [8], dtype: "f32", role: "batch" },
  });
  const device = await openDevice();
  try {
    const loaded = await device.load(compileGraph(graph, device.capabilities), device.createStates());
    const x = Float32Array.from(values);
    new Uint32Array(x.buffer)[6] = 0x7fffffff; // the NaN that rounding would turn into -0
    loaded.run({ batch: { x } });
    assertEquals([...(await loaded.readAll()).y], expected);
  } finally {
    device.destroy();
  }
});

Deno.test("a bf16 result that cannot be stored four numbers at a time is refused with the remedy", () => {
  const graph = trace(({ a }) => ({ y: a.mul(2) }), { a: spec([3, 5]) });
  const refused = assertThrows(() => compileGraph(graph, BASELINE), GraphError);
  assertEquals(
    refused.message,
    "bf16 is stored four numbers at a time: make the last axis of every bf16 tensor a multiple of 4",
  );
});
