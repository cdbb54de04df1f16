import { assertEquals, assertThrows } from "@std/assert";
import { BindingError } from "../../runtime/mod.ts";
import { counter, dispatch, kernel, ONE_TO_EIGHT, programOf, withDevice } from "./support.ts";

Deno.test("a ring keeps the outputs of every run, in order, around its end", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const ring = loaded.createRing(["sum"], { slots: 5 });
    let step = 0;
    const run = () =>
      loaded.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 }, record: ring, tag: ++step });
    const expected = (steps: number[]) => steps.map((tag) => ({ tag, values: { sum: 36 * tag } }));
    for (let i = 0; i < 3; i++) run();
    assertEquals(ring.pending, 3);
    assertEquals(await ring.drain(), expected([1, 2, 3]));
    for (let i = 0; i < 5; i++) run();
    assertEquals(ring.full, true);
    assertThrows(run, BindingError, "all 5 slots are full");
    step--;
    assertEquals(await ring.drain(), expected([4, 5, 6, 7, 8]));
    assertEquals(await ring.drain(), []);
    run();
    assertEquals(await ring.drain(), expected([9]));
  }));

Deno.test("a refused run leaves neither the ring nor the device changed", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const loaded = await device.load(counter(), states);
    const other = await device.load(counter({ name: "other" }), states);
    const ring = loaded.createRing(["sum"]);
    const inputs = { batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 }, record: ring };
    assertThrows(() => other.run(inputs), BindingError, "made for another program");
    assertThrows(() => loaded.run({ ...inputs, scalars: {} }), BindingError, "missing");
    assertEquals(ring.pending, 0);
    loaded.run(inputs);
    assertEquals(await ring.drain(), [{ tag: 0, values: { sum: 36 } }]);
  }));

Deno.test("a ring keeps whole numbers as they are", () =>
  withDevice(async (device) => {
    const wgsl = `
@group(0) @binding(0) var<storage, read_write> a: i32;
@group(0) @binding(1) var<storage, read_write> b: u32;
@compute @workgroup_size(1) fn numbers() { a = -7; b = 4294967295u; }`;
    const output = (name: string, dtype: "i32" | "u32", buffer: number) =>
      ({ name, dtype, shape: [], range: { buffer, offset: 0, size: 4 } }) as const;
    const loaded = await device.load(
      programOf({
        kernels: [kernel("numbers", wgsl, ["read_write", "read_write"])],
        dispatches: [dispatch(0, [0, 1], [4, 4])],
        buffers: [{ kind: "output", name: "a", bytes: 16 }, { kind: "output", name: "b", bytes: 16 }],
        outputs: [output("a", "i32", 0), output("b", "u32", 1)],
      }),
      device.createStates(),
    );
    const ring = loaded.createRing(["b", "a"]);
    loaded.run({ record: ring });
    assertEquals(await ring.drain(), [{ tag: 0, values: { b: 2 ** 32 - 1, a: -7 } }]);
  }));

Deno.test("an output of many numbers is refused by a ring", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    assertThrows(() => loaded.createRing(["total"]), BindingError, "total: a ring keeps single numbers");
  }));
