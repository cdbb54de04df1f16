/**
 * `deno task eval loss`: a model's loss on the validation part of text or shards.
 *
 * @module
 */
import { openData } from "../../data/mod.ts";
import { InputError } from "../errors.ts";
import { LossEvaluation } from "../evaluation/loss.ts";
import { Subject } from "../evaluation/subject.ts";
import { PRECISIONS } from "../precision.ts";
import { MODE_NAMES } from "../run_options.ts";
import { EvalProgress, recordInRun } from "./eval_output.ts";
import { type Flags, helpText, MANY, parseFlags } from "./flags.ts";
import { userData, userPath } from "./paths.ts";
import { clock, count } from "./text.ts";

const FLAGS = {
  "checkpoint": {
    kind: "text",
    metavar: "DIR",
    help: "Directory of a run, one of its step folders, or a folder of Hugging Face's files.",
  },
  "data": {
    kind: "text",
    metavar: "SOURCE",
    help: "moby-dick, shakespeare, text:FILE or shards:DIR; its validation part is used.",
  },
  "batches": {
    kind: "whole",
    min: 1,
    max: MANY,
    help: "Batches, from the first on; all of them by default.",
  },
  "batch": {
    kind: "whole",
    min: 1,
    max: 4096,
    help: "Sequences that pass through the model at once; 4 on a processor, 16 on a GPU by default.",
  },
  "context": {
    kind: "whole",
    min: 1,
    max: MANY,
    help: "Tokens of a sequence; as many as the model can look at by default.",
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

/** Sequences of a batch. */
const BATCH = { software: 4, gpu: 16 };

/** Runs the command. */
export async function evaluateLoss(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task eval loss --checkpoint DIR --data SOURCE [flags]",
      "Computes a model's mean loss on validation data: the last tenth of a text, or the validation shards of a folder. The\n" +
        "result is added to the run's metrics.jsonl.",
      FLAGS,
    ));
    return 0;
  }
  const { checkpoint, data: source, dtype = "f32" } = values;
  if (checkpoint === undefined) {
    throw new InputError("--checkpoint", "it is missing", "name a directory, such as runs/first");
  }
  if (source === undefined) {
    throw new InputError("--data", "it is missing", "name what to evaluate on, such as moby-dick");
  }
  const progress = new EvalProgress();
  using subject = await Subject.open(userPath(checkpoint), dtype, (text) => progress.line(text));
  const { weights, device, states, tokenizer } = subject;
  const { config } = weights;
  const { context = config.context, batch = device.capabilities.software ? BATCH.software : BATCH.gpu } =
    values;
  if (context > config.context) {
    throw new InputError(
      `--context ${context}`,
      `the model looks at ${config.context} tokens`,
      `take --context ${config.context} or less`,
    );
  }
  progress.line(`${weights.path} on ${device.describe()}`);
  const data = await openData(userData(source), tokenizer, { batch, context, seed: 0 });
  try {
    const total = Math.min(values.batches ?? Infinity, data.validationBatches);
    const evaluation = await LossEvaluation.load(device, states, config, { batch, context }, {
      dtype,
      mode: values.mode,
    });
    await subject.write();
    progress.start();
    const score = await evaluation.run(
      data,
      total,
      ({ batches, loss }) => progress.show(batches, total, "batches", `loss ${loss.toFixed(4)}`),
    );
    const seconds = progress.end();
    const { loss, perplexity, bitsPerToken, tokens, batches } = score;
    const facts = { data: source, perplexity, bitsPerToken, tokens, batches };
    // In a run's figures `loss` is that of a step.
    const recorded = values["no-record"]
      ? undefined
      : await recordInRun(weights, { event: "loss", evalLoss: loss, ...facts });
    if (values.json) {
      const { path, step } = weights;
      console.log(JSON.stringify({ event: "loss", loss, ...facts, seconds, checkpoint: path, step }));
    } else {
      console.log(
        `loss ${loss.toFixed(4)}, perplexity ${perplexity.toFixed(2)}, ${
          bitsPerToken.toFixed(4)
        } bits a token, ` +
          `over ${count(tokens)} tokens of ${source}`,
      );
    }
    progress.line(
      `${count(batches)} of ${count(data.validationBatches)} batches in ${clock(1000 * seconds)}`,
    );
    if (recorded !== undefined) progress.line(recorded);
    return 0;
  } finally {
    data.close();
  }
}
