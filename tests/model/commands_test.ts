/**
 * The commands from outside: what they print, what they leave on disk, how they end.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { jsonLines, LineReader, run, start, TINY, withFolder } from "./command.ts";

/** Losses by step from `--json` output. */
function lossesOf(stdout: string): Map<number, number> {
  const steps = jsonLines(stdout).filter((line) => "loss" in line);
  return new Map(steps.map(({ step, loss }) => [step as number, loss as number]));
}

async function entriesIn(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
}

async function checkpointsIn(run: string): Promise<string[]> {
  return (await entriesIn(run)).filter((name) => name.startsWith("step-"));
}

const BAD: [name: string, command: string, args: string[], message: RegExp][] = [
  ["an unknown flag", "train", ["--stepz", "3"], /^error: --stepz: no such flag; did you mean --steps\?/],
  ["a wrong number", "train", ["--steps", "many"], /^error: --steps many: not a whole number; give/],
  [
    "a context past the limit",
    "train",
    ["--preset", "nano", "--context", "2048"],
    /--context 2048: the limit is 1024/,
  ],
  [
    "heads that do not divide",
    "train",
    ["--preset", "nano", "--heads", "3"],
    /--heads 3: .*take --width 129/,
  ],
  [
    "a budget that does not divide",
    "train",
    ["--preset", "nano", "--batch-tokens", "1000"],
    /take --batch-tokens 1024/,
  ],
  ["a dtype that does not exist", "train", ["--dtype", "f64"], /--dtype f64: no such choice; choose f32/],
  [
    "unknown data",
    "train",
    ["--preset", "nano", "--data", "moby"],
    /moby.*moby-dick, shakespeare, text:FILE .*or shards:DIR/,
  ],
  [
    "a file that is not there",
    "train",
    ["--preset", "nano", "--data", "text:/nonexistent"],
    /does not exist/,
  ],
  ["a folder in place of text", "train", ["--preset", "nano", "--data", "text:/"], /directory/],
  [
    "resume without a run",
    "train",
    ["--resume", "--out", "/nonexistent/run"],
    /there is no checkpoint there/,
  ],
  ["resume without a name", "train", ["--resume"], /--resume: .*add --out/],
  ["no checkpoint", "generate", ["--prompt", "x"], /--checkpoint: it is missing/],
  [
    "a checkpoint that is not there",
    "generate",
    ["--prompt", "x", "--checkpoint", "/nonexistent"],
    /no such directory/,
  ],
  [
    "a folder that is no checkpoint",
    "generate",
    ["--prompt", "x", "--checkpoint", "/"],
    /there is no trainer\.json/,
  ],
  ["a negative temperature", "generate", ["--temperature", "-1"], /--temperature -1: too small/],
  ["an unknown stage", "inspect", ["--stage", "wgls"], /--stage wgls: no such choice; choose graph/],
];

for (const [name, command, args, message] of BAD) {
  Deno.test(`${command} refuses ${name} with one line, code 2 and nothing written`, async () => {
    await withFolder(async (folder) => {
      const needsOut = command === "train" && !args.includes("--out") && !args.includes("--resume");
      const out = needsOut ? ["--out", `${folder}/run`] : [];
      const { code, stdout, stderr } = await run(command, [...args, ...out]);
      assertEquals(stdout.trim().split("\n").filter((line) => line.startsWith("error")).length, 0);
      assertMatch(stderr, message);
      assertEquals(stderr.trim().split("\n").length, 1, stderr);
      assertEquals(code, 2);
      assertEquals(await entriesIn(folder), []);
    });
  });
}

Deno.test("train refuses text that is empty, binary or too short before it writes anything", async () => {
  await withFolder(async (folder) => {
    const cases: [string, Uint8Array<ArrayBuffer>, RegExp][] = [
      ["empty", new Uint8Array(), /empty/],
      ["binary", Uint8Array.from([1, 0, 2]), /binary/],
      ["latin1", Uint8Array.from([0x63, 0x61, 0x66, 0xe9]), /not UTF-8/],
      ["short", new TextEncoder().encode("Call me Ishmael."), /tokens/],
    ];
    for (const [name, bytes, message] of cases) {
      await Deno.writeFile(`${folder}/${name}`, bytes);
      const { code, stderr } = await run("train", [
        ...TINY,
        `--data=text:${folder}/${name}`,
        `--out=${folder}/run`,
      ]);
      assertMatch(stderr, message);
      assertEquals(stderr.trim().split("\n").length, 1, stderr);
      assertEquals(code, 2);
    }
    assertEquals(await entriesIn(folder), ["binary", "empty", "latin1", "short"]);
  });
});

Deno.test("--help of each command lists its flags and ends with code 0", async () => {
  for (
    const [command, flag] of [["train", "--batch-tokens"], ["generate", "--top-k"], ["inspect", "--stage"]]
  ) {
    const { code, stdout } = await run(command, ["--help"]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, flag);
  }
});

Deno.test("train --json writes nothing but its JSON lines to standard output", async () => {
  await withFolder(async (folder) => {
    const { code, stdout, stderr } = await run("train", [
      ...TINY,
      "--json",
      "--steps=4",
      "--eval-every=2",
      "--sample-every=4",
      `--out=${folder}/run`,
    ]);
    assertEquals(code, 0, stderr);
    const lines = jsonLines(stdout);
    const keys = (line: Record<string, unknown>) => Object.keys(line).join();
    assertEquals(lines.map(keys).sort(), [
      "event,step,loss,lr,gradNorm,tokensPerSecond,ms",
      "event,step,loss,lr,gradNorm,tokensPerSecond,ms",
      "event,step,loss,lr,gradNorm,tokensPerSecond,ms",
      "event,step,loss,lr,gradNorm,tokensPerSecond,ms",
      "event,step,sample",
      "event,step,valLoss,tokens",
      "event,step,valLoss,tokens",
    ]);
    assertEquals([...lossesOf(stdout).keys()], [1, 2, 3, 4]);
    assertMatch(stderr, /preset nano; for the other: deno task train --preset gpt2/);
    assertEquals(await checkpointsIn(`${folder}/run`), ["step-000004"]);
  });
});

Deno.test("a run that was killed goes on from its last checkpoint with the losses of one that was not", async () => {
  await withFolder(async (folder) => {
    const flags = [...TINY, "--json", "--steps=12", "--batch-tokens=64", "--save-every=3"];
    const whole = await run("train", [...flags, `--out=${folder}/whole`]);
    assertEquals(whole.code, 0, whole.stderr);
    const expected = lossesOf(whole.stdout);

    const child = start("train", [...flags, `--out=${folder}/killed`]);
    const messages = new LineReader(child.stderr);
    const [output] = await Promise.all([
      new Response(child.stdout).text(),
      messages.until("step-000003").then(() => child.kill("SIGKILL")).then(() => messages.rest()),
    ]);
    await child.status;
    for (const [step, loss] of lossesOf(output.slice(0, output.lastIndexOf("\n") + 1))) {
      assertEquals(loss, expected.get(step), `step ${step} of the run that is killed`);
    }
    // What the kill interrupted may or may not have been saved: whatever is there must do.
    const resumed = await run("train", ["--json", "--resume", `--out=${folder}/killed`]);
    assertEquals(resumed.code, 0, resumed.stderr);
    const losses = lossesOf(resumed.stdout);
    assert(losses.size > 0);
    for (const [step, loss] of losses) {
      assertEquals(loss, expected.get(step), `step ${step} after the resume`);
    }
    assertEquals(Math.max(...losses.keys()), 12);
  });
});

Deno.test("a kill during any part of a save leaves only whole checkpoints", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/run`;
    const flags = [
      "--preset=nano",
      "--layers=1",
      "--context=16",
      "--steps=1000",
      "--save-every=1",
      `--out=${out}`,
    ];
    for (const wait of [0, 7, 19, 31]) {
      const child = start("train", [...(wait === 0 ? flags : ["--resume", `--out=${out}`])]);
      const reader = new LineReader(child.stdout);
      const errors = new Response(child.stderr).text();
      if (await reader.until("saved") === undefined) throw new Error(await errors);
      await new Promise((resolve) => setTimeout(resolve, wait));
      child.kill("SIGKILL");
      await reader.rest();
      await child.status;
      await errors;
      for (const name of await checkpointsIn(out)) {
        const { code, stderr } = await run("generate", [
          `--checkpoint=${out}/${name}`,
          "--prompt=a",
          "--max-tokens=1",
        ]);
        assertEquals(code, 0, `${name} after a kill ${wait} ms after a save: ${stderr}`);
      }
      // Only the newest is needed for the next round.
      const steps = await checkpointsIn(out);
      for (const name of steps.slice(0, -1)) await Deno.remove(`${out}/${name}`, { recursive: true });
    }
  });
});

Deno.test("Ctrl-C saves, says how to go on, and the run that goes on ends like one that was not stopped", async () => {
  await withFolder(async (folder) => {
    const flags = [...TINY, "--steps=300", "--save-every=0"];
    const whole = await run("train", [...flags, "--json", `--out=${folder}/whole`]);
    const child = start("train", [...flags, "--json", `--out=${folder}/run`]);
    const reader = new LineReader(child.stdout);
    const errors = new Response(child.stderr).text();
    await reader.until('"step":2,');
    child.kill("SIGINT");
    await reader.rest();
    const { code } = await child.status;
    const text = await errors;
    assertEquals(code, 0, text);
    assertMatch(text, /stopped at step \d+; go on with: deno task train --resume --out/);
    const resumed = await run("train", ["--resume", "--json", `--out=${folder}/run`]);
    assertEquals(resumed.code, 0, resumed.stderr);
    const losses = lossesOf(resumed.stdout);
    const expected = lossesOf(whole.stdout);
    for (const [step, loss] of losses) assertEquals(loss, expected.get(step), `step ${step}`);
    assertEquals(Math.max(...losses.keys()), 300);
  });
});

Deno.test("a directory that holds a run is refused without --resume, and with flags of another run", async () => {
  await withFolder(async (folder) => {
    const out = `--out=${folder}/run`;
    assertEquals((await run("train", [...TINY, "--steps=2", out])).code, 0);
    const again = await run("train", [...TINY, "--steps=2", out]);
    assertEquals(again.code, 2);
    assertMatch(again.stderr, /there is a run in it already .*add --resume to go on with it/);
    const finished = await run("train", ["--resume", out]);
    assertEquals(finished.code, 2);
    assertMatch(finished.stderr, /at step 2 of 2 already; give --steps above 2/);
    const other = await run("train", ["--resume", "--seed=5", "--steps=4", out]);
    assertEquals(other.code, 2);
    assertMatch(other.stderr, /--seed 5: this run was begun with 1337; leave out --seed/);
    assertEquals(await checkpointsIn(`${folder}/run`), ["step-000002"]);
  });
});

Deno.test("a damaged checkpoint is refused with its reason and the next older one is used or named", async () => {
  await withFolder(async (folder) => {
    const out = `--out=${folder}/run`;
    assertEquals((await run("train", [...TINY, "--steps=4", "--save-every=2", out])).code, 0);
    await Deno.truncate(`${folder}/run/step-000004/model.safetensors`, 1000);
    const resumed = await run("train", ["--resume", "--steps=6", out]);
    assertEquals(resumed.code, 0, resumed.stderr);
    assertMatch(resumed.stdout, /refused: .*step-000004: model\.safetensors has 1000 bytes/);
    assertMatch(resumed.stdout, /goes on after step 2/);
    await Deno.truncate(`${folder}/run/step-000006/model.safetensors`, 1000);
    const generated = await run("generate", [`--checkpoint=${folder}/run/step-000006`, "--prompt=a"]);
    assertEquals(generated.code, 2);
    assertMatch(generated.stderr, /1000 bytes.*the next older one is .*step-000004/);
  });
});

Deno.test("generate continues a prompt, the same for the same seed", async () => {
  await withFolder(async (folder) => {
    assertEquals((await run("train", [...TINY, "--steps=2", `--out=${folder}/run`])).code, 0);
    const flags = [`--checkpoint=${folder}/run`, "--prompt=Call me", "--max-tokens=30"];
    const [first, second, other] = [
      await run("generate", flags),
      await run("generate", flags),
      await run("generate", [...flags, "--seed=3"]),
    ];
    assertEquals(first.code, 0, first.stderr);
    assert(first.stdout.startsWith("Call me"));
    assertEquals(second.stdout, first.stdout);
    assert(other.stdout !== first.stdout);
  });
});

Deno.test("inspect prints every stage", async () => {
  const expected: Record<string, RegExp> = {
    graph: /= input \{name="params"/,
    joint: /linearCrossEntropy/,
    simplified: /matmul/,
    groups: /because:/,
    kernels: /kernel /,
    wgsl: /@compute/,
    plan: /lower bound/,
  };
  for (const [stage, pattern] of Object.entries(expected)) {
    const { code, stdout } = await run("inspect", ["--preset=nano", "--layers=1", `--stage=${stage}`]);
    assertEquals(code, 0);
    assertMatch(stdout, pattern);
  }
});
