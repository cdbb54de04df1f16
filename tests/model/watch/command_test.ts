/**
 * `deno task watch-learning` from outside, with exactly its permissions.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { saveCheckpoint } from "../../../model/checkpoint.ts";
import { cutParameters, layoutParameters } from "../../../model/params.ts";
import type { PageData } from "../../../model/watch/page/wire.d.ts";
import { writeSnapshot } from "../../../model/watch/snapshot.ts";
import { jsonLines, run, withFolder } from "../command.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";
import { PROMPT, snapshot } from "./watched.ts";

const COMMAND = "watch-learning";
const TEXT = new TextDecoder().decode(Uint8Array.from(PROMPT));

async function saveStep(folder: string, step: number): Promise<void> {
  await saveCheckpoint(folder, {
    config: LIVELY,
    tokenizer: byteTokenizer().file(),
    parameters: cutParameters(layoutParameters(LIVELY), livelyWeights(LIVELY, step)),
    trainer: { step, position: step, seed: 1 },
  });
}

async function dataOf(path: string): Promise<PageData> {
  const html = await Deno.readTextFile(path);
  return JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)![1]);
}

/** Fails unless the command refuses with one line that fits. */
async function refuses(args: readonly string[], message: RegExp): Promise<void> {
  const { code, stdout, stderr } = await run(COMMAND, args);
  assertMatch(stderr, message);
  assertEquals([code, stdout, stderr.trim().split("\n").length], [2, "", 1], stderr);
}

Deno.test("watch-learning goes through checkpoints, passes over damaged ones, and takes the run's losses", async () => {
  await withFolder(async (folder) => {
    for (const step of [10, 20, 30]) await saveStep(folder, step);
    const damaged = `${folder}/step-000020/model.safetensors`;
    const bytes = await Deno.readFile(damaged);
    bytes[bytes.length - 1] ^= 1;
    await Deno.writeFile(damaged, bytes);
    await Deno.writeTextFile(`${folder}/metrics.jsonl`, '{"event":"step","step":3,"loss":2.5}\n');
    const result = await run(COMMAND, [
      "--run",
      folder,
      "--prompt",
      "Call me",
      "--sample-tokens=5",
      "--json",
    ]);
    assertEquals(result.code, 0, result.stderr);
    assertMatch(result.stderr, /passed over: .*step-000020/);
    const lines = jsonLines(result.stdout);
    const page = lines.at(-1)!;
    assertEquals(lines.map(({ event, step }) => [event, step]), [["step", 10], ["step", 30], [
      "page",
      undefined,
    ]]);
    const path = `${folder}/watch.html`;
    assertEquals([page.path, page.steps, page.bytes], [path, 2, (await Deno.stat(path)).size]);
    const data = await dataOf(path);
    assertEquals([data.steps, data.loss.train, data.source], [[10, 30], [[3, 2.5]], "2 checkpoints"]);
    assertEquals(data.prompt.length, 7);
    assertEquals(
      (await Array.fromAsync(Deno.readDir(folder))).filter(({ name }) => name.startsWith(".")),
      [],
    );
  });
});

Deno.test("watch-learning takes a single checkpoint", async () => {
  await withFolder(async (folder) => {
    await saveStep(`${folder}/run`, 4);
    const out = `${folder}/one.html`;
    const single = ["--checkpoint", `${folder}/run/step-000004`, "--prompt", "Call", "--sample-tokens", "0"];
    const { code, stderr, stdout } = await run(COMMAND, [...single, "--out", out]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, out);
    const data = await dataOf(out);
    assertEquals([data.steps, data.samples, data.name], [[4], [""], "run"]);
    await refuses([...single, "--steps", "3"], /^error: --steps 3: a single model has no steps/);
  });
});

Deno.test("watch-learning shows snapshots without a prompt or a device, and says what they cannot do", async () => {
  await withFolder(async (folder) => {
    for (const step of [0, 50, 100]) await writeSnapshot(`${folder}/snapshots`, snapshot(step));
    await Deno.writeTextFile(`${folder}/snapshots/step-000075.snap`, "no snapshot");
    for (const args of [[], ["--prompt", TEXT]]) {
      const result = await run(COMMAND, ["--run", folder, "--steps", "50-", ...args]);
      assertEquals(result.code, 0, result.stderr);
      assertMatch(result.stdout, /passed over: .*step-000075/);
      const { steps, source } = await dataOf(`${folder}/watch.html`);
      assertEquals([steps, source], [[50, 100], "2 snapshots"]);
    }
    await refuses(
      ["--run", folder, "--prompt", "another"],
      /^error: --prompt "another": the run's snapshots hold only what was seen of .*train with --save-every/,
    );
    await refuses(
      ["--run", folder, "--from", "checkpoints"],
      /--from checkpoints: the run has none; take --from/,
    );
    await refuses(
      ["--run", folder, "--steps", "75"],
      /step-000075.* no snapshot.*: none of the run's snapshots/s,
    );
    await refuses(["--run", folder, "--steps", "7"], /--steps: none of .* 4 steps from 0 to 100/);
  });
});

Deno.test("watch-learning refuses what it cannot do with one line and code 2", async () => {
  await withFolder(async (folder) => {
    await saveStep(folder, 1);
    await refuses([], /^error: --run: it is missing/);
    await refuses(["--run", "no/such/run"], /^error: --run no\/such\/run: there is no such run/);
    await refuses(["--run", folder], /^error: --prompt: it is missing/);
    await refuses(["--run", folder, "--steps", "2-1"], /--steps 2-1: "2-1" is neither a step nor a range/);
    await refuses(
      ["--run", folder, "--prompt", "x".repeat(40)],
      /--prompt "x{40}": 40 tokens; give at most 32, the model's context/,
    );
  });
  const help = await run(COMMAND, ["--help"]);
  assert(help.code === 0 && help.stdout.includes("--sample-tokens"));
});
