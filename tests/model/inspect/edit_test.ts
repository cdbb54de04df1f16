/**
 * Kernels written by hand: a file is written, what is wrong with it is said, and a right one is checked and timed.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { isWrong } from "../../../model/inspect/check.ts";
import { editKernel, type EditOutcome, type KernelComparison } from "../../../model/inspect/edit.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { compileTiny, tinyValues } from "./tiny_step.ts";

Deno.test("a kernel file is written, and then tried as often as it changes", async (t) => {
  const device = await openDevice();
  const folder = await Deno.makeTempDir({ dir: await temporary() });
  const path = `${folder}/kernel.wgsl`;
  const compilation = compileTiny(device.capabilities);
  const index = compilation.program.kernels.findIndex(({ name }) => name.startsWith("pointwise_mul_add_mul"));
  const values = await tinyValues(device);
  const run = () => editKernel(device, compilation, index, path, values, { command: "deno task inspect" });
  const change = async (edit: (text: string) => string): Promise<EditOutcome> => {
    await Deno.writeTextFile(path, edit(original));
    return await run();
  };
  let original = "";
  try {
    await t.step("the generated kernel is written with what one needs to know", async () => {
      assertEquals((await run()).kind, "written");
      original = await Deno.readTextFile(path);
      assertMatch(original, /\/\/ workgroups: \d+ x 1 x 1/);
      assertMatch(original, / = sqrt %\d+/);
      assert(original.includes(compilation.program.kernels[index].wgsl.trim()));
      assertEquals((await run()).kind, "written", "a file that was not changed is no kernel by hand");
    });

    await t.step("a text that the driver refuses gives one line with the line of the file", async () => {
      const outcome = await change((text) => text.replace("let tile = group.x;", "let tile = groop.x;"));
      if (outcome.kind !== "refused") throw new Error(`${outcome.kind} instead of refused`);
      const line = original.split("\n").findIndex((one) => one.includes("let tile = group.x;")) + 1;
      assert(outcome.problem.includes(`WGSL line ${line}: `), outcome.problem);
      assert(outcome.problem.includes("let tile = groop.x;"), outcome.problem);
      assert(!outcome.problem.includes("\n"));
    });

    await t.step("a wrong kernel is found wrong, with the element", async () => {
      const outcome = await change((text) => text.replace(/0\.9499\d*f/, "1f"));
      const { generated, byHand, sameBits } = trialOf(outcome);
      assert(byHand.every(isWrong) && !generated.some(isWrong) && !sameBits);
    });

    await t.step("a right kernel passes and is timed", async () => {
      const outcome = await change((text) => text.replace("let tile = group.x;", "let tile = group.x + 0u;"));
      const { byHand, unchecked, sameBits, duel } = trialOf(outcome);
      assert(byHand.length > 0 && !byHand.some(isWrong) && sameBits);
      assertEquals(unchecked, 0);
      assert(duel.ms.every((ms) => ms > 0) && duel.ratio > 0);
    });

    await t.step("the number of workgroups is the file's", async () => {
      const outcome = await change((text) => text.replace(/workgroups: \d+ x/, "workgroups: 1 x"));
      assert(
        outcome.kind === "tried" && outcome.trial.byHand.some(isWrong),
        "one workgroup cannot do it all",
      );
    });
  } finally {
    device.destroy();
    await Deno.remove(folder, { recursive: true });
  }
});

/** A folder that tests may write to. */
async function temporary(): Promise<string> {
  await Deno.mkdir(".cache", { recursive: true });
  return ".cache";
}

function trialOf(outcome: EditOutcome): KernelComparison {
  if (outcome.kind === "tried") return outcome.trial;
  throw new Error(outcome.kind === "refused" ? outcome.problem : "the file was written");
}
