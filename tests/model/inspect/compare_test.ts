/**
 * What rounding explains and what it does not.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Graph, type Tensor, trace } from "../../../compiler/mod.ts";
import { compareWithReference, type Deviation, precisionOf } from "../../../model/inspect/compare.ts";
import { excerptOf } from "../../../model/inspect/excerpt.ts";

const N = 64;

function compare(fn: (x: Tensor) => Tensor, x: Float64Array, y: Float64Array, limit = 1): Deviation {
  const graph: Graph = trace(({ x }) => ({ y: fn(x) }), {
    x: { shape: [x.length], dtype: "f32", role: "batch" },
  });
  const excerpt = excerptOf(graph, limit)!;
  return compareWithReference({ excerpt, precision: precisionOf(graph) }, { x }, { y }).y;
}

Deno.test("a sum in which large numbers cancel may be off by their rounding, and by no more", () => {
  const x = Float64Array.from({ length: N }, (_, i) => (i % 2 === 0 ? 1000 : -1000) + i / N / 1000);
  const exact = x.reduce((a, b) => a + b, 0);
  assert(compare((x) => x.sum(), x, Float64Array.of(exact + 1e-4)).excess < 1);
  assert(compare((x) => x.sum(), x, Float64Array.of(exact + 1)).excess > 1);
});

Deno.test("a comparison of equal numbers may fall to either side, one of others may not", () => {
  const flag = (x: Tensor) => x.sum().ge(1).cast("f32");
  const even = new Float64Array(N).fill(1 / N);
  assert(compare(flag, even, Float64Array.of(0)).excess <= 1);
  assert(compare(flag, even.map((value) => 2 * value), Float64Array.of(0)).excess > 1);
});

Deno.test("a result that no float32 can hold is infinite, and one that is not a number is wrong", () => {
  const x = Float64Array.of(200, 1);
  const exact = Float64Array.from(x, Math.exp);
  assertEquals(compare((x) => x.exp(), x, Float64Array.of(Infinity, exact[1])).excess < 1, true);
  assertEquals(compare((x) => x.exp(), x, Float64Array.of(Infinity, NaN)).wrong, 1);
});

Deno.test("of a large result the ends and the middle are compared", () => {
  const x = Float64Array.from({ length: 4096 }, (_, i) => i / 4096);
  const limit = 1e-6;
  for (const element of [0, 2048, 4095]) {
    const wrong = Float64Array.from(x, Math.exp);
    wrong[element] += 0.1;
    const { excess, element: found, elements } = compare((x) => x.exp(), x, wrong, limit);
    assert(excess > 1 && elements < 4096, `${elements} elements`);
    assertEquals(found, element);
  }
});
