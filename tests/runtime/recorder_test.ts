/**
 * Recording on the device: it sees every dispatch, and changes nothing.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DeviceError,
  type GpuDevice,
  Recorder,
  type RecorderMode,
  type TraceSpan,
} from "../../runtime/mod.ts";
import { beginDownload } from "../../runtime/transfer.ts";
import { counter, dispatch, ONE_TO_EIGHT, withDevice } from "./support.ts";

const RUN = { batch: { x: ONE_TO_EIGHT }, scalars: { scale: 0.1 } };

/** `spans` follow each other and lie within `outer`. */
function assertApart(spans: readonly TraceSpan[], outer: { start: number; end: number }): void {
  let last = outer.start;
  for (const { name, start, end } of spans) {
    assert(start >= last && end >= start, `${name} begins before what is before it has ended`);
    last = end;
  }
  assert(last <= outer.end);
}

Deno.test("a recording has every submission, every dispatch by its kernel's name, in order and apart", () =>
  withDevice(async (device) => {
    const loaded = await device.load(counter(), device.createStates());
    const before = performance.now();
    const recorder = await Recorder.start(device);
    const modes: RecorderMode[] = ["off", "queue", "kernels", "queue", "kernels", "off"];
    for (const [step, mode] of modes.entries()) {
      recorder.mode = mode;
      recorder.args = { step };
      loaded.run(RUN);
    }
    const { device: spans, host, clockErrorMs } = await recorder.stop();
    assertEquals(device.recorder, undefined);
    assertEquals(spans.map(({ name, mode, args }) => [name, mode, args?.step]), [
      ["counter", "queue", 1],
      ["counter", "kernels", 2],
      ["counter", "queue", 3],
      ["counter", "kernels", 4],
    ]);
    for (const { mode, kernels, start, end } of spans) {
      assertEquals(kernels.map(({ name }) => name), mode === "queue" ? [] : ["count", "add_up"]);
      assertApart(kernels, { start, end });
    }
    assertApart(spans, { start: before - clockErrorMs, end: performance.now() + clockErrorMs });
    // What a submission does cannot begin before the host has begun to encode it.
    const encoded = host.filter(({ name }) => name === "encode");
    assertEquals(encoded.map(({ args }) => args?.step), [1, 2, 3, 4]);
    spans.forEach(({ start }, i) => assert(start >= encoded[i].start - clockErrorMs));
  }));

Deno.test("a recording with more dispatches than a query set holds has all of them", () =>
  withDevice(async (device) => {
    const bytes = ONE_TO_EIGHT.byteLength;
    const dispatches = Array.from({ length: 2100 }, () => dispatch(0, [0, 1, 2], [bytes, bytes, 16]));
    const loaded = await device.load(counter({ dispatches }), device.createStates());
    const recorder = await Recorder.start(device);
    recorder.mode = "kernels";
    loaded.run(RUN);
    const { device: [{ kernels, start, end }] } = await recorder.stop();
    assertEquals(kernels.length, 2100);
    assertApart(kernels, { start, end });
  }));

Deno.test("what a program computes is the same to the bit, however it is recorded", () =>
  withDevice(async (device) => {
    const totals: Uint8Array[] = [];
    for (const mode of [undefined, "off", "queue", "kernels"] as const) {
      const states = device.createStates();
      const loaded = await device.load(counter(), states);
      const recorder = mode && await Recorder.start(device);
      if (recorder) recorder.mode = mode;
      for (let i = 0; i < 5; i++) loaded.run({ ...RUN, scalars: { scale: 0.1 * i } });
      totals.push(await states.read("total"));
      await recorder?.stop();
    }
    for (const total of totals) assertEquals(total, totals[0]);
  }));

Deno.test("a device without timestamps is refused by name", async () => {
  const device = { info: { description: "Old Adapter", timestamps: false } } as GpuDevice;
  await assertRejects(() => Recorder.start(device), DeviceError, "Old Adapter has no timestamps");
});

Deno.test("work that is submitted while a readback comes does not change what it reads", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const loaded = await device.load(counter(), states);
    const run = () => loaded.run({ ...RUN, scalars: { scale: 1 } });
    run();
    let calls = 0;
    const readback = states.beginReadAll(["total"]);
    const values = await readback.read(() => {
      calls++;
      run();
    });
    assertEquals(calls, 1);
    assertEquals(new Float32Array(values.get("total")!.buffer), ONE_TO_EIGHT);
    assertEquals(new Float32Array((await states.read("total")).buffer), ONE_TO_EIGHT.map((x) => 2 * x));
    // Nothing to read: the queue is as idle as it gets.
    await beginDownload(device, []).read(() => calls++);
    assertEquals(calls, 2);
  }));
