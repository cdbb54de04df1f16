/**
 * `compile(fn, { device })`: states that begin with values, are shared, and stay on the device; what it refuses.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BindingError, compile, type Tensor } from "../../compiler/mod.ts";
import { withDevice } from "./support.ts";

type Tensors = Record<string, Tensor>;
const three = (...values: number[]) => ({ shape: [3], data: Float32Array.from(values) });
const count = ({ total, x }: Tensors) => ({ total: total.add(x), sum: total.sum() });

Deno.test("a state does not begin with its array, or is lost between calls", () =>
  withDevice(async (device) => {
    const add = compile(count, { device, state: { total: three(1, 2, 3) } });
    const first = await add({ x: three(1, 1, 1) });
    assertEquals({ ...first }, { sum: Float32Array.of(6) });
    await add.run({ x: three(0, 0, 5) });
    assertEquals((await add({ x: 10 })).sum, Float32Array.of(14), "numbers and arrays share the state");
    assertEquals((await add.read("total")).total, Float32Array.of(12, 13, 19));
  }));

Deno.test("a function that is given another's state works on a copy of it", () =>
  withDevice(async (device) => {
    const add = compile(count, { device, state: { total: { shape: [3], dtype: "f32" } } });
    const twice = compile(({ total }) => ({ y: total.mul(2) }), { device, state: add });
    assertEquals((await twice()).y, Float32Array.of(0, 0, 0));
    await add.run({ x: three(1, 2, 3) });
    assertEquals((await twice()).y, Float32Array.of(2, 4, 6));
  }));

Deno.test("what compile cannot do is refused without naming what is wrong", () =>
  withDevice(async (device) => {
    const message = assertThrows(
      () => compile(count, { device, state: { total: { shape: [4], data: Float32Array.of(1) } } }),
      BindingError,
    ).message;
    assertEquals(message, "program count: total: has shape [4]: 4 elements, not 1");

    const add = compile(count, { device, state: { total: three(1, 2, 3) } });
    assertThrows(() => add.explain(), BindingError, "nothing was compiled yet");
    await assertRejects(() => add.read("sum"), BindingError, "nothing was compiled yet");
    await assertRejects(() => add({ total: three(1, 2, 3), x: 1 }), BindingError, "is a state");

    const reshaped = compile(({ total }) => ({ total: total.sum() }), { device, state: add });
    await assertRejects(() => reshaped(), BindingError, "the state is f32[3] but its new value f32[]");
    assertEquals((await add({ x: 0 })).sum, Float32Array.of(6), "a refused call left the function unusable");
  }));

Deno.test("explain shows something else than the program that was compiled last", () =>
  withDevice(async (device) => {
    const add = compile(count, { device, state: { total: three(1, 2, 3) } });
    await add({ x: 1 });
    assert(add.explain().includes("pointwise"), add.explain());
    assert(add.explain("graph").includes("return total="), add.explain("graph"));
  }));
