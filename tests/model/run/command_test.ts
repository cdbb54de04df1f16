/**
 * Runs as a user starts them: what stays in their folders, how they end, and runs that begin with the weights of others.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { stepFolder } from "../../../model/checkpoint.ts";
import { readMetrics } from "../../../model/run/metrics.ts";
import { jsonLines, run, TINY, withFolder } from "../command.ts";

function checkpoints(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => name.startsWith("step-"))
    .sort();
}

const lossOf = (stdout: string, step: number) =>
  jsonLines(stdout).find((line) => line.event === "step" && line.step === step)!.loss as number;

Deno.test("old checkpoints go as they were told to, the disk is said before, and the run is listed", async () => {
  await withFolder(async (folder) => {
    const flags = [
      "--steps=8",
      "--save-every=2",
      "--keep-last=1",
      "--keep-every=4",
      "--eval-every=4",
      "--snapshot-every=4",
    ];
    const { code, stdout, stderr } = await run("train", [...TINY, ...flags, `--out=${folder}/thin`]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /disk: at most 3 checkpoints of \d+ MB, \d+ MB in all of \d/);
    assertMatch(stdout, /step 4: saved .*, removed step 2/);
    assertEquals(checkpoints(`${folder}/thin`), ["step-000004", "step-000008"]);
    const snapshots = [0, 4, 8].map((step) => `step-00000${step}.snap`);
    assertEquals(checkpoints(`${folder}/thin/snapshots`), snapshots);
    const watched = await run("watch-learning", [`--run=${folder}/thin`, "--json"]);
    assertEquals(watched.code, 0, watched.stderr);
    assertEquals((await Deno.stat(`${folder}/thin/watch.html`)).isFile, true);

    const listed = await run("runs", [`--dir=${folder}`, "--json"]);
    const [{ name, state, step, best_step }] = jsonLines(listed.stdout);
    assertEquals({ name, state, step, best_step }, {
      name: "thin",
      state: "finished",
      step: 8,
      best_step: 8,
    });
    const shown = await run("runs", [`--dir=${folder}`, "--run=thin"]);
    assertMatch(shown.stdout, /step 8: validation loss \d/);
    const none = await run("runs", [`--dir=${folder}`, "--run=thick"]);
    assertEquals(none.code, 2);
    assertMatch(none.stderr, /--run thick: there is no such run .*there are thin/);
  });
});

Deno.test("a run that gets no better ends early, and one behind its reference says so", async () => {
  await withFolder(async (folder) => {
    const flags = ["--eval-every=2", "--lr=1e-9", "--schedule=constant"];
    const { code, stdout, stderr } = await run("train", [
      ...TINY,
      ...flags,
      "--steps=40",
      "--early-stop=2",
      `--out=${folder}/flat`,
      "--json",
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /early stop: the best validation loss, \d\.\d+ at step 2, is 2 validations ago/);
    // Some steps are under way by the time that a validation is known.
    const [end, ...others] = checkpoints(`${folder}/flat`);
    assert(end >= "step-000006" && end < "step-000040" && others.length === 0, `${end}, ${others}`);
    assertEquals(stepFolder(jsonLines(stdout).at(-1)!.step as number), end);

    // The same run beside one that had learned: its metrics are made up.
    const learned = [2, 40].map((step) => ({ event: "validation", step, valLoss: 1, tokens: 32 * step }));
    await Deno.mkdir(`${folder}/good`);
    await Deno.writeTextFile(
      `${folder}/good/metrics.jsonl`,
      learned.map((line) => JSON.stringify(line)).join("\n"),
    );
    const behind = await run("train", [
      ...TINY,
      ...flags,
      "--steps=4",
      `--reference=run:${folder}/good`,
      `--out=${folder}/behind`,
    ]);
    assertMatch(behind.stdout, /step 2: validation loss [\d.]+, [\d.]+ above the reference's 1\.000/);
    assertMatch(behind.stdout, /ALARM: after .* above the 1\.000 of .*good/);
    const alarm = (await readMetrics(`${folder}/behind`)).find(({ event }) => event === "alarm");
    assertEquals(alarm?.step, 2);
  });
});

Deno.test("a run that begins with trained weights goes on from their loss, and takes no other sizes", async () => {
  await withFolder(async (folder) => {
    const trained = await run("train", [...TINY, "--steps=30", `--out=${folder}/first`, "--json"]);
    assertEquals(trained.code, 0, trained.stderr);
    const init = `--init-from=checkpoint:${folder}/first`;
    const tuned = await run("train", [
      init,
      "--context=8",
      "--micro-batch=4",
      "--steps=3",
      "--schedule=linear",
      "--warmup=1",
      `--out=${folder}/second`,
      "--json",
    ]);
    assertEquals(tuned.code, 0, tuned.stderr);
    const [fresh, last, begun] = [
      lossOf(trained.stdout, 1),
      lossOf(trained.stdout, 30),
      lossOf(tuned.stdout, 1),
    ];
    assert(Math.abs(begun - last) < Math.abs(begun - fresh) / 2, `${fresh}, ${last}, then ${begun}`);
    const rates = jsonLines(tuned.stdout).filter(({ event }) => event === "step").map(({ lr }) =>
      lr as number
    );
    // A twentieth of nano's 3e-3, falling by lines from the end of the warm-up to a tenth.
    assertEquals(rates.map((rate) => rate.toPrecision(3)), ["0.000150", "0.000150", "0.0000825"]);

    const fixture = new URL("../huggingface/fixtures/step", import.meta.url).pathname;
    const foreign = ["--steps=1", "--micro-batch=2", "--sample-every=0", "--eval-every=0", "--save-every=0"];
    const others = await run("train", [`--init-from=hf:${fixture}`, ...foreign, `--out=${folder}/others`]);
    assertEquals(others.code, 0, others.stderr);
    assertMatch(
      others.stdout,
      /10,944 parameters \(2 layers, width 16, 2 heads, context 16, tokenizer bytes\)/,
    );

    const refusals: [flags: string[], message: RegExp][] = [
      [
        ["--layers=2"],
        /--layers 2: the weights of --init-from .*first.* decide that \(1\); leave out --layers/,
      ],
      [["--preset=gpt2"], /--preset gpt2: the weights/],
      [["--context=32"], /--context 32: the weights of .* know 16 positions/],
      [["--warmup=9"], /--warmup 9: longer than the run of 2 steps/],
    ];
    for (const [flags, message] of refusals) {
      const refused = await run("train", [init, "--steps=2", ...flags, `--out=${folder}/third`]);
      assertEquals(refused.code, 2, refused.stderr);
      assertMatch(refused.stderr, message);
    }
    const nowhere = await run("train", [`--init-from=checkpoint:${folder}/nothing`, `--out=${folder}/third`]);
    assertEquals(nowhere.code, 2);
    assertMatch(nowhere.stderr, /--init-from .*nothing: there is no such directory/);
    const unknown = await run("train", [`--init-from=${folder}/first`, `--out=${folder}/third`]);
    assertMatch(unknown.stderr, /write hf:DIR or checkpoint:DIR/);
  });
});
