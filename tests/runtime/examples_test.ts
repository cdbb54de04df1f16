/**
 * The examples of `compiler/examples/`: programs of another kind than GPT-2 train, in few lines.
 *
 * @module
 */
import { assert, assertLess } from "@std/assert";
import { train as trainMlp } from "../../compiler/examples/mlp.ts";
import { train as trainVisionTransformer } from "../../compiler/examples/vision_transformer.ts";
import { withDevice } from "./support.ts";

Deno.test("the MLP of the examples does not learn to tell two spirals apart", () =>
  withDevice(async (device) => {
    const { loss, accuracy, map } = await trainMlp(device);
    assertLess(loss, 0.1);
    assert(accuracy > 0.97, `only ${accuracy} of the points`);
    assert(map.split("\n").length === 25, map);
  }));

Deno.test("the vision transformer of the examples does not learn to read digits", () =>
  withDevice(async (device) => {
    const { loss, accuracy } = await trainVisionTransformer(device, 300);
    assertLess(loss, 1);
    assert(accuracy > 0.6, `only ${accuracy} of the pictures`);
  }));

Deno.test("an example has 60 lines or more, or needs more than the compiler and a device", async () => {
  const folder = new URL("../../compiler/examples/", import.meta.url);
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    assertLess(text.trimEnd().split("\n").length, 60, name);
    const imports = [...text.matchAll(/from "(.*)"/g)].map(([, from]) => from);
    assert(
      imports.every((from) => ["../mod.ts", "../../runtime/mod.ts"].includes(from)),
      `${name}: ${imports}`,
    );
  }
});
