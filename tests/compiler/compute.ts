/**
 * Traces a function over given values and evaluates it in float64, for tests of the front end.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type DType, evaluate, type Shape, sizeOf, type Tensor, trace } from "../../compiler/mod.ts";
import type { Prng } from "../support/prng.ts";

/** A tensor's type and values, row-major. */
export interface Values {
  readonly shape: Shape;
  readonly data: readonly number[];
  readonly dtype: DType;
}

/** f32 values; without `shape` a list. */
export function f32(data: readonly number[], shape: Shape = [data.length]): Values {
  return { shape, data, dtype: "f32" };
}

/** i32 values; without `shape` a list. */
export function i32(data: readonly number[], shape: Shape = [data.length]): Values {
  return { shape, data, dtype: "i32" };
}

/** u32 values; without `shape` a list. */
export function u32(data: readonly number[], shape: Shape = [data.length]): Values {
  return { shape, data, dtype: "u32" };
}

/** bool values; without `shape` a list. */
export function bool(data: readonly boolean[], shape: Shape = [data.length]): Values {
  return { shape, data: data.map(Number), dtype: "bool" };
}

/** f32 values spread evenly over [low, high), seeded. */
export function random(prng: Prng, shape: Shape, low = -1, high = 1): Values {
  return f32(Array.from({ length: sizeOf(shape) }, () => low + (high - low) * prng.uniform()), shape);
}

/** What `fn` yields for `inputs`, with its type. */
export function compute(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Values[]): Values {
  const specs = Object.fromEntries(
    inputs.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype, role: "batch" as const }]),
  );
  const graph = trace((given) => ({ y: fn(...inputs.map((_, i) => given[`x${i}`])) }), specs);
  const { y } = evaluate(graph, Object.fromEntries(inputs.map(({ data }, i) => [`x${i}`, data])));
  const { shape, dtype } = graph.nodes[graph.outputs[0].node];
  return { shape, dtype, data: [...y] };
}

/** Checks type and values; floats within `tolerance`, absolute for small values and relative for large ones. */
export function assertValues(actual: Values, expected: Values, tolerance = 1e-12, what = ""): void {
  assertEquals([actual.dtype, actual.shape], [expected.dtype, expected.shape], what);
  expected.data.forEach((value, i) => {
    const got = actual.data[i];
    const near = Object.is(got, value) || Math.abs(got - value) <= tolerance * Math.max(1, Math.abs(value));
    assert(near, `${what} element ${i} is ${got}, expected ${value}`);
  });
}
