import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BindingError, GpuError } from "../../runtime/mod.ts";
import { counter, dispatch, kernel, ONE_TO_EIGHT, programOf, withDevice } from "./support.ts";

const scaled = (factor: number) => ONE_TO_EIGHT.map((x) => x * factor);

Deno.test("a run computes with its batch and scalars, and outputs can be read", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    loaded.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 0.5 } });
    assertEquals(await loaded.read("sum"), Float32Array.of(18));
  }));

Deno.test("a donated output lives in its state, from run to run and from program to program", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const first = await device.load(counter(), states);
    const second = await device.load(counter({ name: "second" }), states);
    first.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 } });
    second.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 10 } });
    first.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 100 } });
    assertEquals(await second.readAll(["total"]), { total: scaled(111) });
    assertEquals(new Float32Array((await states.read("total")).buffer), scaled(111));
    assertEquals(await second.read("sum"), Float32Array.of(36 * 11)); // as its own last run left it
  }));

Deno.test("arrays given to a run may be changed right after it", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const x = ONE_TO_EIGHT.slice();
    loaded.run({ batch: { x }, scalars: { scale: 1 } });
    x.fill(1000);
    assertEquals(await loaded.read("sum"), Float32Array.of(36));
  }));

Deno.test("values in shared memory are taken", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const x = new Float32Array(new SharedArrayBuffer(32));
    x.set(ONE_TO_EIGHT);
    loaded.run({ batch: { x }, scalars: { scale: 1 } });
    assertEquals(await loaded.read("sum"), Float32Array.of(36));
  }));

Deno.test("programs with the same kernels share pipelines", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    await device.load(counter(), states);
    await device.load(counter({ name: "again" }), states);
    assertEquals(device.pipelines.size, 2);
  }));

Deno.test("buffers are counted, and freed with their program", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const before = device.memory.allocatedBytes;
    const loaded = await device.load(counter(), states);
    assertEquals(device.memory.allocatedBytes - before, 32 + 32 + 16 + 16);
    assertEquals(loaded.bytes, 32 + 16 + 16);
    loaded.destroy();
    assertEquals(device.memory.allocatedBytes - before, 32);
    states.destroy();
    assertEquals(device.memory.allocatedBytes - before, 0);
    assertThrows(
      () => loaded.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 } }),
      GpuError,
      "was destroyed",
    );
  }));

Deno.test("inputs that do not fit a program are refused by name", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const x = ONE_TO_EIGHT;
    const refused = (inputs: Parameters<typeof loaded.run>[0], message: string) =>
      assertThrows(() => loaded.run(inputs), BindingError, message);
    refused({ scalars: { scale: 1 } }, "program counter: x: this batch input is missing");
    refused({ batch: { x } }, "scale: this scalar is missing");
    refused({ batch: { x, y: x }, scalars: { scale: 1 } }, "y: there is no such batch input (there are: x)");
    refused({ batch: { x, total: x }, scalars: { scale: 1 } }, "total: there is no such batch input");
    refused({ batch: { x }, scalars: { scale: 1, lr: 1 } }, "lr: there is no such scalar (there are: scale)");
    refused({ batch: { x: x.subarray(1) }, scalars: { scale: 1 } }, "has shape [8]: 8 elements, not 7");
    refused(
      { batch: { x: new Int32Array(8) }, scalars: { scale: 1 } },
      "takes a Float32Array, not a Int32Array",
    );
    refused({ batch: { x }, scalars: { scale: NaN } }, "scale: is no number");
    await assertRejects(() => loaded.read("loss"), BindingError, "no such output (there are: total, sum)");
  }));

Deno.test("whole-number scalars are checked against their dtype's range", () =>
  withDevice(async (device) => {
    const scalars = (["i32", "u32", "bool"] as const).map((dtype, i) => ({
      name: dtype,
      dtype,
      offset: i * 4,
    }));
    const wgsl = `
@group(0) @binding(0) var<uniform> scalars: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> y: vec4<u32>;
@compute @workgroup_size(1) fn copy() { y = scalars; }`;
    const loaded = await device.load(
      programOf({
        kernels: [kernel("copy", wgsl, ["uniform", "read_write"])],
        dispatches: [dispatch(0, [0, 1], [16, 16])],
        buffers: [{ kind: "scalars", name: "scalars", bytes: 16 }, { kind: "output", name: "y", bytes: 16 }],
        outputs: [{ name: "y", shape: [4], dtype: "u32", range: { buffer: 1, offset: 0, size: 16 } }],
        scalars,
      }),
      device.createStates(),
    );
    loaded.run({ scalars: { i32: -1, u32: 2 ** 32 - 1, bool: 1 } });
    assertEquals(await loaded.read("y"), Uint32Array.of(2 ** 32 - 1, 2 ** 32 - 1, 1, 0));
    const refused = (given: Record<string, number>) =>
      assertThrows(
        () => loaded.run({ scalars: { i32: 0, u32: 0, bool: 0, ...given } }),
        BindingError,
        "whole",
      );
    refused({ i32: 2 ** 31 });
    refused({ u32: -1 });
    refused({ u32: 0.5 });
    refused({ bool: 2 });
  }));

Deno.test("half-precision batches with an odd number of elements arrive whole", () =>
  withDevice(async (device) => {
    const wgsl = `
@group(0) @binding(0) var<storage, read> x: array<u32, 2>;
@group(0) @binding(1) var<storage, read_write> y: array<u32, 2>;
@compute @workgroup_size(1) fn copy() { y[0] = x[0]; y[1] = x[1]; }`;
    const range = (buffer: number) => ({ buffer, offset: 0, size: 6 });
    const loaded = await device.load(
      programOf({
        kernels: [kernel("copy", wgsl, ["read", "read_write"])],
        dispatches: [dispatch(0, [0, 1], [8, 8])],
        buffers: [{ kind: "batch", name: "x", bytes: 16 }, { kind: "output", name: "y", bytes: 16 }],
        inputs: [{ name: "x", shape: [3], dtype: "f16", range: range(0) }],
        outputs: [{ name: "y", shape: [3], dtype: "f16", range: range(1) }],
      }),
      device.createStates(),
    );
    loaded.run({ batch: { x: Float16Array.of(1, -2, 0.5) } });
    assertEquals(await loaded.read("y"), Float16Array.of(1, -2, 0.5));
    loaded.run({ batch: { x: Uint16Array.of(0x3c00, 0x3c00, 0x4000) } });
    assertEquals(await loaded.read("y"), Float16Array.of(1, 1, 2));
  }));
