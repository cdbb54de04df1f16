/**
 * `deno task train --dtype f16` from outside: what its checkpoints hold, how it goes on, what it refuses.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openCheckpoint, readTensors } from "../../model/checkpoint.ts";
import type { RunPlan } from "../../model/run_options.ts";
import { openDevice } from "../../runtime/mod.ts";
import { jsonLines, run, TINY, withFolder } from "./command.ts";

const SCALES = ["lossScale", "goodSteps"];

async function hasHalfPrecision(): Promise<boolean> {
  const device = await openDevice();
  const { f16 } = device.capabilities;
  device.destroy();
  return f16;
}

Deno.test("a checkpoint of a run in f16 holds f32 weights, the loss scale and the dtype, and goes on in f16", async () => {
  if (!await hasHalfPrecision()) return;
  await withFolder(async (folder) => {
    const flags = [...TINY, "--dtype=f16", "--json", "--steps=8", "--save-every=4"];
    const whole = await run("train", [...flags, `--out=${folder}/run`]);
    assertEquals(whole.code, 0, whole.stderr);
    const expected = jsonLines(whole.stdout).filter((line) => "loss" in line);
    assertEquals(expected.map(({ lossScale }) => typeof lossScale), new Array(8).fill("number"));

    const checkpoint = await openCheckpoint(`${folder}/run/step-000004`);
    assertEquals((checkpoint.trainer.plan as RunPlan).dtype, "f16");
    const saved = await readTensors(checkpoint, "trainer.safetensors");
    assertEquals([...saved.keys()].sort(), [...SCALES, "m", "v"].sort());
    assertEquals(SCALES.map((name) => saved.get(name)!.length), [1, 1]);
    assertEquals(saved.get("lossScale")![0], expected[3].lossScale);
    // Values that f16 cannot hold are those of f32 weights.
    const [weights] = (await readTensors(checkpoint, "model.safetensors")).values();
    assert(weights.some((value) => Math.f16round(value) !== value));

    await Deno.remove(`${folder}/run/step-000008`, { recursive: true });
    const other = await run("train", ["--resume", "--dtype=f32", `--out=${folder}/run`]);
    assertEquals(other.code, 2);
    assertMatch(
      other.stderr,
      /^error: --dtype f32: this run was begun with f16; leave out --dtype, or begin/,
    );
    const resumed = await run("train", ["--json", "--resume", `--out=${folder}/run`]);
    assertEquals(resumed.code, 0, resumed.stderr);
    const figures = (lines: Record<string, unknown>[]) =>
      lines.map(({ step, loss, gradNorm, lossScale }) => ({ step, loss, gradNorm, lossScale }));
    const rest = jsonLines(resumed.stdout).filter((line) => "loss" in line);
    assertEquals(figures(rest), figures(expected.slice(4)));

    const text = await run("generate", [`--checkpoint=${folder}/run`, "--prompt=The", "--max-tokens=4"]);
    assertEquals(text.code, 0, text.stderr);
  });
});

Deno.test("a run in f32 goes on in f32 and in nothing else", async () => {
  await withFolder(async (folder) => {
    const begun = await run("train", [...TINY, "--steps=2", `--out=${folder}/run`]);
    assertEquals(begun.code, 0, begun.stderr);
    const refused = await run("train", ["--resume", "--steps=3", "--dtype=f16", `--out=${folder}/run`]);
    assertEquals(refused.code, 2);
    assertMatch(refused.stderr, /--dtype f16: this run was begun with f32/);
    const resumed = await run("train", ["--resume", "--steps=3", "--dtype=f32", `--out=${folder}/run`]);
    assertEquals(resumed.code, 0, resumed.stderr);
  });
});
