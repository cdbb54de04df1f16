/** `deno task eval` as a user runs it, with exactly its permissions. */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { saveCheckpoint } from "../../../model/checkpoint.ts";
import { cutParameters, layoutParameters } from "../../../model/params.ts";
import { readMetrics } from "../../../model/run/metrics.ts";
import { jsonLines, run, withFolder } from "../command.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";

const LINES = [
  { ctx: "He saw the sea", endings: ["and ran", "whales", "but I", "of a day"], label: 1 },
  { ctx: "It", endings: ["is", "was cold on the deck", "went by", "x"], label: 0 },
  { ctx: "Some years ago he was", endings: ["here", "in the South Seas", "old", "no one"], label: "2" },
];

/** A run with one checkpoint, and a file of examples beside it. */
async function withRun(body: (run: string, file: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const directory = join(folder, "lively");
    await saveCheckpoint(directory, {
      config: LIVELY,
      tokenizer: byteTokenizer().file(),
      parameters: cutParameters(layoutParameters(LIVELY), livelyWeights(LIVELY)),
      trainer: { step: 7, position: 0, seed: 1 },
    });
    const file = join(folder, "val.jsonl");
    await Deno.writeTextFile(file, LINES.map((line) => JSON.stringify(line)).join("\n"));
    await body(directory, file);
  });
}

Deno.test("eval hellaswag prints counts and chance, and adds the score to the run's figures", () =>
  withRun(async (directory, file) => {
    const args = ["hellaswag", `--checkpoint=${directory}`, `--file=${file}`];
    const [people, program] = await Promise.all([
      run("eval", args),
      run("eval", [...args, "--limit=2", "--batch=1", "--no-record", "--json"]),
    ]);
    assertEquals(people.code, 0, people.stderr);
    assertMatch(
      people.stdout,
      /^HellaSwag: acc (\d)\/3 0\.\d{4} \(±0\.\d{4}\), acc_norm (\d)\/3 0\.\d{4} \(±0\.\d{4}\); guessing gives 0\.2500\n$/,
    );
    assertStringIncludes(people.stderr, "1 of 3 examples are longer than the model's context of 32 tokens");
    const [figures, ...more] = await readMetrics(directory);
    assertEquals(more, []);
    const { correct, correctNorm } = figures;
    assertEquals(figures, {
      event: "evaluation",
      step: 7,
      name: "hellaswag",
      correct,
      correctNorm,
      count: 3,
      acc: Number(correct) / 3,
      accNorm: Number(correctNorm) / 3,
      file: "val.jsonl",
    });
    assertStringIncludes(people.stdout, `acc ${correct}/3`);
    assertStringIncludes(people.stdout, `acc_norm ${correctNorm}/3`);

    assertEquals(program.code, 0, program.stderr);
    const [line] = jsonLines(program.stdout);
    assertEquals([line.event, line.name, line.step, line.count, line.cut], [
      "evaluation",
      "hellaswag",
      7,
      2,
      0,
    ]);
    assertEquals([line.chance, line.checkpoint], [0.25, join(directory, "step-000007")]);
  }));

Deno.test("eval loss prints the loss, and adds it to the run's figures", () =>
  withRun(async (directory, file) => {
    const text = join(file, "..", "whale.txt");
    await Deno.writeTextFile(text, "Call me Ishmael. Some years ago. ".repeat(200));
    const args = ["loss", "--checkpoint", directory, "--data", `text:${text}`];
    const [people, program] = await Promise.all([
      run("eval", args),
      run("eval", [...args, "--json", "--no-record", "--batches=2", "--batch=1"]),
    ]);
    assertEquals(people.code, 0, people.stderr);
    assertMatch(
      people.stdout,
      /^loss \d+\.\d{4}, perplexity \d+\.\d{2}, \d+\.\d{4} bits a token, over 640 tokens /,
    );
    const [figures, ...more] = await readMetrics(directory);
    assertEquals(more, []);
    assertEquals([figures.event, figures.step, figures.tokens], ["loss", 7, 640]);
    assertEquals(figures.loss, undefined, "it would be taken for a step's");
    assertEquals(program.code, 0, program.stderr);
    const [{ loss, perplexity, tokens }] = jsonLines(program.stdout);
    assertEquals(tokens, 64);
    assertAlmostEquals(Math.exp(loss as number), perplexity as number, 1e-6);
  }));

Deno.test("what cannot be evaluated is one line and exit code 2", () =>
  withRun(async (directory, file) => {
    const damaged = join(file, "..", "damaged.jsonl");
    await Deno.writeTextFile(damaged, `${JSON.stringify(LINES[0])}\n{"ctx": "Call me"}\n`);
    const checkpoint = `--checkpoint=${directory}`;
    const wrong: [args: string[], message: string][] = [
      [["riddles"], "eval riddles: no such evaluation; choose hellaswag or loss"],
      [["hellaswag"], "--checkpoint: it is missing"],
      [["hellaswag", "--checkpoint=/nowhere"], "--checkpoint /nowhere: there is no such directory"],
      [["hellaswag", checkpoint, `--file=${damaged}`], 'line 2 has no list of texts under "endings"'],
      [["hellaswag", checkpoint, "--file=x", "--mirror=http://x"], "--mirror: given with --file"],
      [["loss", checkpoint], "--data: it is missing"],
      [
        ["loss", checkpoint, "--data=moby-dick", "--context=64"],
        "--context 64: the model looks at 32 tokens",
      ],
    ];
    const outcomes = await Promise.all(wrong.map(([args]) => run("eval", args)));
    outcomes.forEach(({ code, stdout, stderr }, i) => {
      assertEquals([code, stdout], [2, ""], stderr);
      assertStringIncludes(stderr, wrong[i][1]);
    });
    for (const args of [["--help"], ["hellaswag", "--help"], ["loss", "--help"]]) {
      const { code, stdout } = await run("eval", args);
      assertEquals(code, 0);
      assert(stdout.includes("deno task eval"));
    }
  }));
