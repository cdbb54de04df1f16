/**
 * `deno task eval hellaswag`: which of four endings a model finds likeliest.
 *
 * @module
 */
import { basename } from "@std/path";
import { type HellaSwagOptions, loadHellaSwag } from "../../data/mod.ts";
import { InputError } from "../errors.ts";
import { CHANCE, cutText, HellaSwag, type HellaSwagScore, standardError } from "../evaluation/hellaswag.ts";
import { Subject } from "../evaluation/subject.ts";
import { PRECISIONS } from "../precision.ts";
import { MODE_NAMES } from "../run_options.ts";
import { EvalProgress, rateText, recordInRun } from "./eval_output.ts";
import { type Flags, helpText, MANY, parseFlags } from "./flags.ts";
import { userPath } from "./paths.ts";
import { clock, count, mebibytes } from "./text.ts";

const FLAGS = {
  "checkpoint": {
    kind: "text",
    metavar: "DIR",
    help: "Directory of a run, one of its step folders, or a folder of Hugging Face's files.",
  },
  "limit": { kind: "whole", min: 1, max: MANY, help: "Examples, from the first on; all of them by default." },
  "file": {
    kind: "text",
    metavar: "FILE",
    help: "JSON lines in place of the validation set, which is downloaded once.",
  },
  "mirror": {
    kind: "text",
    metavar: "URL",
    help: "Folder on the web that the validation set is taken from.",
  },
  "batch": {
    kind: "whole",
    min: 1,
    max: 4096,
    help: "Rows of tokens that pass through the model at once; the result does not depend on it.",
  },
  "dtype": {
    kind: "choice",
    choices: PRECISIONS,
    help: "What matrix products read and write; f32 by default.",
  },
  "mode": { kind: "choice", choices: MODE_NAMES, help: "Fused kernels, or one kernel for each operation." },
  "no-record": { kind: "switch", help: "Leave the run's metrics.jsonl alone." },
  "json": { kind: "switch", help: "Print the result as a line of JSON; progress goes to standard error." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

/** Runs the command. */
export async function evaluateHellaSwag(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task eval hellaswag --checkpoint DIR [flags]",
      "Shows a model the beginnings of HellaSwag's stories, each with four endings, and counts how often the right ending\n" +
        "is the likeliest: by its summed loss (acc), and by its mean loss for each token (acc_norm). Guessing gives 0.25;\n" +
        "GPT-2 124M has 0.2859 and 0.2955 on all 10,042 examples. The result is added to the run's metrics.jsonl.",
      FLAGS,
    ));
    return 0;
  }
  const { checkpoint, dtype = "f32", file } = values;
  if (checkpoint === undefined) {
    throw new InputError("--checkpoint", "it is missing", "name a directory, such as runs/first");
  }
  if (file !== undefined && values.mirror !== undefined) {
    throw new InputError("--mirror", "given with --file, which needs no download", "keep one");
  }
  const progress = new EvalProgress();
  using subject = await Subject.open(userPath(checkpoint), dtype, (text) => progress.line(text));
  const { weights, device, states, tokenizer } = subject;
  progress.line(`${weights.path} on ${device.describe()}`);
  const examples = await loadHellaSwag({
    limit: values.limit,
    file: file && userPath(file),
    mirror: values.mirror,
    download: { onProgress: downloadProgress(progress) },
  });
  const hellaswag = await HellaSwag.load(device, states, weights.config, tokenizer, examples, {
    rows: values.batch,
    dtype,
    mode: values.mode,
  });
  await subject.write();
  const cut = cutText(hellaswag, weights.config);
  if (cut !== undefined) progress.line(cut);

  progress.start();
  const { losses: _, ...score } = await hellaswag.run((score) =>
    progress.show(score.count, hellaswag.count, "examples", scoreText(score))
  );
  const seconds = progress.end();
  const facts = { ...score, ...file !== undefined && { file: basename(file) } };
  const recorded = values["no-record"]
    ? undefined
    : await recordInRun(weights, { event: "evaluation", name: "hellaswag", ...facts });
  if (values.json) {
    const { path, step } = weights;
    const more = { chance: CHANCE, cut: hellaswag.cut, seconds, checkpoint: path, step };
    console.log(JSON.stringify({ event: "evaluation", name: "hellaswag", ...facts, ...more }));
  } else console.log(resultText(score));
  progress.line(
    `${count(score.count)} examples in ${clock(1000 * seconds)} (${
      rateText(score.count / seconds)
    } examples/s)`,
  );
  if (recorded !== undefined) progress.line(recorded);
  return 0;
}

function scoreText({ acc, accNorm }: HellaSwagScore): string {
  return `acc ${acc.toFixed(4)}, acc_norm ${accNorm.toFixed(4)}`;
}

/** `acc 2871/10042 0.2859 (±0.0045), acc_norm 2967/10042 0.2955 (±0.0046); guessing gives 0.2500`. */
function resultText({ correct, correctNorm, count: of, acc, accNorm }: HellaSwagScore): string {
  const share = (right: number, value: number) =>
    `${right}/${of} ${value.toFixed(4)} (±${standardError(value, of).toFixed(4)})`;
  return `HellaSwag: acc ${share(correct, acc)}, acc_norm ${share(correctNorm, accNorm)}; guessing gives ${
    CHANCE.toFixed(4)
  }`;
}

type OnProgress = NonNullable<NonNullable<HellaSwagOptions["download"]>["onProgress"]>;

/** A line about the download at its first bytes and then every few seconds. */
function downloadProgress(progress: EvalProgress): OnProgress {
  let told = -Infinity;
  return (bytes, total) => {
    if (performance.now() - told < 5000) return;
    told = performance.now();
    const of = total === undefined ? "" : ` of ${mebibytes(total)}`;
    progress.line(`HellaSwag's validation set: ${mebibytes(bytes)}${of} downloaded`);
  };
}
