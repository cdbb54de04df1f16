/**
 * The flat layout of parameters.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type ModelConfig, PRESETS } from "../../model/config.ts";
import { ALIGNMENT, cutParameters, joinParameters, layoutParameters } from "../../model/params.ts";

const TINY: ModelConfig = { layers: 2, width: 6, heads: 2, context: 5, vocabulary: 10 };

Deno.test("every preset has the published number of parameters", () => {
  assertEquals(layoutParameters(PRESETS.gpt2).count, 124_439_808);
  assertEquals(layoutParameters(PRESETS["gpt2-medium"]).count, 354_823_168);
  assertEquals(layoutParameters(PRESETS["gpt2-large"]).count, 774_030_080);
  assertEquals(layoutParameters(PRESETS["gpt2-xl"]).count, 1_557_611_200);
  assertEquals(layoutParameters(PRESETS.nano).count, 636_032);
});

Deno.test("parameters lie apart, aligned, and exactly the matrices decay", () => {
  for (const config of [TINY, ...Object.values(PRESETS)]) {
    const { parameters, decayed, size } = layoutParameters(config);
    let end = 0;
    for (const parameter of parameters) {
      assert(parameter.offset >= end && parameter.offset % ALIGNMENT === 0, parameter.name);
      assertEquals(parameter.offset < decayed, parameter.shape.length >= 2, parameter.name);
      end = parameter.offset + parameter.size;
    }
    assert(size >= end && size < end + ALIGNMENT);
  }
});

Deno.test("cutting and joining parameters gives back every element and drops padded rows", () => {
  const layout = layoutParameters(TINY);
  const flat = new Float32Array(layout.size);
  for (const { offset, size, shape, rows } of layout.parameters) {
    for (let i = 0; i < size / shape[0] * rows; i++) flat[offset + i] = offset + i + 1;
  }
  const cut = cutParameters(layout, flat);
  assertEquals(cut[0].name, "wte.weight");
  assertEquals(cut[0].shape, [10, 6]);
  assertEquals(cut[0].data.length, 60);
  const tensors = new Map(cut.map(({ name, data }) => [name, data.slice()]));
  assertEquals(joinParameters(layout, tensors), flat);
  tensors.delete("ln_f.bias");
  assertThrows(() => joinParameters(layout, tensors), RangeError, "ln_f.bias is missing");
  tensors.set("ln_f.bias", new Float32Array(5));
  assertThrows(
    () => joinParameters(layout, tensors),
    RangeError,
    "ln_f.bias has 5 elements, the model needs 6",
  );
});
