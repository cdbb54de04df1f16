/**
 * Bisection: modes that agree, a kernel that does not, and values that come from elsewhere.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Compilation } from "../../../compiler/mod.ts";
import { bisect, runSide } from "../../../model/inspect/bisect.ts";
import { readDump, writeDump } from "../../../model/inspect/dump.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { breakKernel, compileTiny, tinyValues } from "./tiny_step.ts";

/** The statistics of a layerNorm of the backward pass with a wrong operator. */
function withWrongRow(compilation: Compilation) {
  return breakKernel(
    compilation,
    "row_sum_mul_sum_mul_sub_3_more",
    (wgsl) => wgsl.replace(/(.*let v\d+ = \(v\d+) - /s, "$1 + "),
  );
}

Deno.test("bisection", async (t) => {
  const device = await openDevice();
  try {
    const values = await tinyValues(device);
    const fused = compileTiny(device.capabilities);
    const eager = await runSide(device, "eager", compileTiny(device.capabilities, "eager"), values);
    const run = async (label: string, compilation: Compilation) =>
      await runSide(device, label, compilation, values);
    const right = await run("fused", fused);

    await t.step("finds no difference between the modes, and compares every fused value", async () => {
      const found = await bisect(device, right, eager, values);
      assertEquals([found.different, found.first, found.wrong], [0, undefined, []]);
      assertEquals(found.compared, right.values.size);
    });

    const { broken, kernel } = withWrongRow(fused);
    const wrong = await run("fused", broken);

    await t.step("names the kernel that is wrong, though much differs after it", async () => {
      const found = await bisect(device, wrong, eager, values);
      assertEquals(found.first?.mine.kernel, kernel);
      assertEquals(found.wrong.map(({ label, kernel }) => `${label} ${kernel.kernel}`), [`fused ${kernel}`]);
      assert(found.different > 10, `${found.different} values differ`);
    });

    await t.step("names the other side's kernel where that is wrong", async () => {
      const found = await bisect(device, eager, wrong, values);
      assertEquals(found.wrong.map(({ label, kernel }) => `${label} ${kernel.kernel}`), [`fused ${kernel}`]);
    });

    await t.step("names the kernel from a file that another adapter wrote", async () => {
      const path = `.cache/bisect-${crypto.randomUUID()}.safetensors`;
      await Deno.mkdir(".cache", { recursive: true });
      try {
        await writeDump(path, { program: "tiny", side: wrong, values });
        const dump = await readDump(path, fused.graph);
        assertEquals(dump.values.states, values.states);
        assertEquals(dump.values.batch, values.batch);
        assertEquals(dump.values.scalars, values.scalars);
        const found = await bisect(device, right, dump.side, dump.values);
        assertEquals(found.first?.theirs.kernel, kernel);
        assertEquals(found.wrong, []);
      } finally {
        await Deno.remove(path);
      }
    });
  } finally {
    device.destroy();
  }
});
