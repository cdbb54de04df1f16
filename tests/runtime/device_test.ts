import { assert, assertEquals } from "@std/assert";
import { profile } from "../../runtime/mod.ts";
import { subgroupSizeOf } from "../../runtime/subgroups.ts";
import { counter, ONE_TO_EIGHT, withDevice } from "./support.ts";

Deno.test("capabilities are at least WebGPU's guaranteed ones and sizes can be rounded up", () =>
  withDevice((device) => {
    const { capabilities, info } = device;
    assert(capabilities.maxStorageBuffers >= 8 && capabilities.maxInvocations >= 256);
    assert(capabilities.maxBindingBytes >= 128 * 2 ** 20 && capabilities.maxBindingBytes % 256 === 0);
    assert(
      capabilities.maxBufferBytes >= capabilities.maxBindingBytes && capabilities.maxBufferBytes % 256 === 0,
    );
    assert([0, 4, 8, 16, 32, 64, 128].includes(capabilities.subgroupSize));
    assertEquals(capabilities.software, info.software);
    if (info.software) assertEquals(capabilities.maxLoopIterations, 65_535);
    return Promise.resolve();
  }));

Deno.test("a software adapter is announced as one", () =>
  withDevice((device) => {
    const text = device.describe();
    assert(text.startsWith(device.info.description));
    assertEquals(text.includes("SOFTWARE"), device.info.software);
    return Promise.resolve();
  }));

Deno.test("a profile has one time for each dispatch and trains like a run", () =>
  withDevice(async (device) => {
    if (!device.info.timestamps) return;
    const loaded = await device.load(counter(), device.createStates());
    const inputs = { batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 } };
    const times = await profile(loaded, inputs);
    assertEquals(times.map(({ kernel, group }) => [kernel, group]), [["count", 0], ["add_up", 1]]);
    assert(times.every(({ ms }) => ms >= 0 && ms < 60_000), JSON.stringify(times));
    loaded.run(inputs);
    assertEquals(await loaded.read("sum"), Float32Array.of(72));
  }));

Deno.test("waiting for the queue tells when it was done", () =>
  withDevice(async (device) => {
    const start = performance.now();
    const at = await device.idle();
    assert(at >= start && at <= performance.now());
  }));

/** What the probe would see on a device with subgroups of `size` consecutive invocations. */
function seenWith(size: number): Uint32Array {
  return Uint32Array.from(
    Array.from({ length: 128 }, (_, i) => {
      const first = i - i % size;
      return [size, i % size, first + 1, first + size - 1];
    }).flat(),
  );
}

Deno.test("a subgroup size counts only if every lane agrees", () => {
  for (const size of [4, 8, 16, 32, 64, 128]) assertEquals(subgroupSizeOf(seenWith(size)), size);
  for (let word = 0; word < 4; word++) {
    const seen = seenWith(32);
    seen[40 * 4 + word] ^= 1;
    assertEquals(subgroupSizeOf(seen), 0, `word ${word} was wrong`);
  }
  assertEquals(subgroupSizeOf(new Uint32Array(512)), 0);
});
