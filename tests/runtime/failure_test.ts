import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { GpuError } from "../../runtime/mod.ts";
import { counter, dispatch, ONE_TO_EIGHT, withDevice } from "./support.ts";

const INPUTS = { batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 } };

Deno.test("a kernel whose text is refused is named with the line", () =>
  withDevice(async (device) => {
    const program = counter();
    const wgsl = program.kernels[1].wgsl.replace("result +=", "rezult +=");
    const kernels = [program.kernels[0], { ...program.kernels[1], wgsl }];
    const error = await assertRejects(
      () => device.load({ ...program, kernels }, device.createStates()),
      GpuError,
    );
    assertEquals([error.kind, error.program, error.kernel], ["validation", "counter", "add_up"]);
    const line = wgsl.split("\n").findIndex((text) => text.includes("rezult")) + 1;
    assertEquals(error.detail.startsWith(`WGSL line ${line}: `), true, error.detail);
    assertEquals(error.message.includes("\n"), false, error.message);
    assertEquals(error.message.includes("rezult += total[i]"), true, error.message);
  }));

Deno.test("a kernel whose bindings do not match its text is named", () =>
  withDevice(async (device) => {
    const program = counter();
    const kernels = [program.kernels[0], { ...program.kernels[1], bindings: ["read", "read"] as const }];
    const error = await assertRejects(
      () => device.load({ ...program, kernels }, device.createStates()),
      GpuError,
    );
    assertEquals([error.program, error.kernel], ["counter", "add_up"]);
  }));

Deno.test("a dispatch that reads and writes one buffer is found at load, with its kernel and buffer", () =>
  withDevice(async (device) => {
    const program = counter();
    const dispatches = [program.dispatches[0], dispatch(1, [0, 0], [32, 4])];
    const error = await assertRejects(
      () => device.load({ ...program, dispatches }, device.createStates()),
      GpuError,
    );
    assertEquals([error.kernel, error.buffer], ["add_up", "total"]);
    const loaded = await device.load(program, device.createStates());
    loaded.run(INPUTS); // the refusal of one program does not spoil the device
    assertEquals(await loaded.read("sum"), Float32Array.of(36));
  }));

Deno.test("an error of a run names kernel and buffer, and ends all that follows", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const loaded = await device.load(counter(), states);
    states.ensure("total", 32).destroy();
    loaded.run(INPUTS);
    const error = await assertRejects(() => loaded.read("sum"), GpuError);
    assertEquals([error.kind, error.program, error.kernel], ["validation", "counter", "count"]);
    assertEquals(error.buffer, "total");
    assertEquals(await device.failure, error);
    assertThrows(() => loaded.run(INPUTS), GpuError);
    assertThrows(() => device.load(counter(), states), GpuError);
    await assertRejects(() => states.read("total"), GpuError);
  }));

Deno.test("an error that nobody waited for ends what follows too", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    device.gpu.createBuffer({ label: "stray", size: 2 ** 45, usage: GPUBufferUsage.STORAGE });
    const error = await device.failure;
    assertEquals(error.kind, "validation");
    assertThrows(() => loaded.run(INPUTS), GpuError, "greater than the maximum buffer size");
  }));

Deno.test("a destroyed device gives an error at the next run, read and drain", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const ring = loaded.createRing(["sum"]);
    loaded.run({ ...INPUTS, record: ring });
    device.gpu.destroy();
    const error = await device.failure;
    assertEquals([error.kind, error.detail], ["lost", "the device was destroyed"]);
    assertThrows(() => loaded.run(INPUTS), GpuError, "GPU error (lost)");
    await assertRejects(() => loaded.read("sum"), GpuError, "GPU error (lost)");
    await assertRejects(() => ring.drain(), GpuError, "GPU error (lost)");
  }));

Deno.test("a device that is destroyed during a readback gives an error, not old values", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    loaded.run(INPUTS);
    const reading = loaded.read("sum");
    device.gpu.destroy();
    const outcome = await reading.then((values) => values[0], (error: Error) => error.name);
    assertEquals(outcome === 36 || outcome === "GpuError", true, `got ${outcome}`);
  }));
