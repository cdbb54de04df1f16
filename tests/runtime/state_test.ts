import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BindingError } from "../../runtime/mod.ts";
import { counter, ONE_TO_EIGHT, withDevice } from "./support.ts";

Deno.test("what is written to a state is what a program sees and what is read back", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const loaded = await device.load(counter(), states);
    states.write("total", 8, Float32Array.of(100, 200));
    assertEquals(new Float32Array((await states.read("total", 8, 8)).buffer), Float32Array.of(100, 200));
    loaded.run({ batch: { x: ONE_TO_EIGHT }, scalars: { scale: 1 } });
    assertEquals(await loaded.read("sum"), Float32Array.of(336));
    states.clear("total");
    assertEquals(await states.read("total"), new Uint8Array(32));
  }));

Deno.test("a state that is larger than a piece of an upload and of a readback crosses whole", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const bytes = 70 * 2 ** 20 + 16;
    states.ensure("large", bytes);
    const words = Uint32Array.from({ length: bytes / 4 }, (_, i) => Math.imul(i, 2_654_435_761));
    states.write("large", 0, words);
    const back = new Uint32Array((await states.read("large")).buffer);
    assertEquals(back.length, words.length);
    assert(back.every((word, i) => word === words[i]), "a word changed on its way");
  }));

Deno.test("states are known by name and size", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const buffer = states.ensure("m", 100);
    assertEquals(states.ensure("m", 112), buffer);
    assertEquals([states.names, states.bytes, states.has("m"), states.has("v")], [["m"], 112, true, false]);
    assertThrows(() => states.ensure("m", 200), BindingError, "m: has 112 bytes, but 208 are asked for");
    assertThrows(() => states.write("v", 0, ONE_TO_EIGHT), BindingError, "no such state (there are: m)");
    assertThrows(() => states.write("m", 100, ONE_TO_EIGHT), BindingError, "bytes 100 to 132 are outside");
    assertThrows(() => states.write("m", 2, ONE_TO_EIGHT), BindingError, "no multiple of 4");
    await assertRejects(() => states.read("m", 0, 200), BindingError, "bytes 0 to 200 are outside");
  }));
