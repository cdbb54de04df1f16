/**
 * `deno task train`: trains a GPT-2 and shows how it goes. The flags become a {@link TrainRequest}; everything else
 * happens in the trainer's Worker.
 *
 * @module
 */
import { TOKENIZERS } from "../../data/mod.ts";
import { ensureAdapter } from "../../runtime/adapter.ts";
import { PRESET_NAMES } from "../config.ts";
import { InputError } from "../errors.ts";
import { initPath } from "../init_from.ts";
import { parseMemory } from "../memory.ts";
import { PRECISIONS } from "../precision.ts";
import { MODE_NAMES, planRun, type TrainRequest, VALIDATION_BATCHES } from "../run_options.ts";
import { REFERENCE_NAMES } from "../run/reference_curves.ts";
import { SCHEDULE_SHAPES } from "../schedule.ts";
import { TrainerClient } from "../trainer_client.ts";
import { BAD_INPUT, FAILED, INTERRUPTED, runCommand } from "./exit.ts";
import { type Flags, type FlagValues, helpText, MANY, parseFlags, tuneChoice } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { HumanReport, JsonReport } from "./report.ts";
import { userData, userPath, userReference } from "./paths.ts";
import { OutputScreen } from "./screen.ts";

const every = (what: string) =>
  ({ kind: "whole", min: 0, max: MANY, help: `Steps between ${what}; 0: never.` }) as const;
const size = (help: string) => ({ kind: "whole", min: 1, max: MANY, help }) as const;

const FLAGS = {
  "preset": {
    kind: "choice",
    choices: PRESET_NAMES,
    help: "Model; left out: nano on a processor, gpt2 on a GPU.",
  },
  "layers": size("Transformer blocks, in place of the preset's."),
  "width": size("Channels, in place of the preset's."),
  "heads": size("Attention heads; they divide the width."),
  "context": size("Tokens that the model looks at; at most 1024."),
  "tokenizer": {
    kind: "choice",
    choices: TOKENIZERS,
    help: "Left out: bytes for nano, otherwise gpt2.",
  },
  "data": {
    kind: "text",
    metavar: "NAME",
    help: "moby-dick (the default), shakespeare, text:FILE or shards:DIR.",
  },
  "init-from": {
    kind: "text",
    metavar: "WEIGHTS",
    help: "Begin with trained weights: hf:DIR or checkpoint:DIR; the model's sizes are theirs.",
  },
  "steps": size("Optimizer steps of the whole run."),
  "micro-batch": size("Sequences that pass through the model at once."),
  "batch-tokens": size("Tokens of an optimizer step, reached by accumulating micro batches."),
  "lr": { kind: "number", min: 0, open: true, max: 1, help: "Peak learning rate." },
  "schedule": {
    kind: "choice",
    choices: SCHEDULE_SHAPES,
    help: "How the learning rate falls after its warm-up; left out: cosine.",
  },
  "warmup": { kind: "whole", min: 0, max: MANY, help: "Steps of warm-up; left out: 3.75% of the run." },
  "min-lr": { kind: "number", min: 0, max: 1, help: "Learning rate at the end; left out: a tenth of --lr." },
  "seed": { kind: "whole", min: 0, max: 2 ** 32 - 1, help: "Seed of weights, batches and samples." },
  "dtype": {
    kind: "choice",
    choices: PRECISIONS,
    help: "What matrix products read and write; f16 and bf16 keep weights, sums and loss in f32.",
  },
  "mode": { kind: "choice", choices: MODE_NAMES, help: "Fused kernels, or one kernel for each operation." },
  "memory": {
    kind: "text",
    metavar: "SIZE",
    help: "Most memory for a step, such as 4GB; values are recomputed rather than kept to stay below.",
  },
  "out": { kind: "text", metavar: "DIR", help: "Directory of the run; left out: runs/<date>-<time>." },
  "resume": { kind: "switch", help: "Go on from the newest checkpoint in --out." },
  "tune": { kind: "switch", help: "Measure kernels for some seconds first, however short the run is." },
  "no-tune": { kind: "switch", help: "Measure nothing, and use nothing that was measured before." },
  "eval-every": every("validations"),
  "eval-batches": {
    kind: "whole",
    min: 1,
    max: VALIDATION_BATCHES.most,
    help: `Micro batches of a validation; left out: ${VALIDATION_BATCHES.usual}.`,
  },
  "save-every": every("checkpoints; the end of a run is always saved"),
  "keep-last": size("Checkpoints that stay, the newest ones; left out: all."),
  "keep-every": size("Checkpoints at multiples of this stay for good, whatever --keep-last says."),
  "sample-every": every("text samples"),
  "hellaswag-every": every("HellaSwag evaluations"),
  "hellaswag-limit": size("Examples of each; left out: all 10,042."),
  "hellaswag-file": {
    kind: "text",
    metavar: "FILE",
    help: "Their file; left out: the published one, downloaded once.",
  },
  "snapshot-every": every("light snapshots for deno task watch-learning"),
  "snapshot-prompt": {
    kind: "text",
    metavar: "TEXT",
    help: "What they look at; left out: a sentence that repeats itself.",
  },
  "snapshot-tensors": {
    kind: "list",
    metavar: "NAME",
    help: "Parameters that they hold as well, * for anything; may be given several times.",
  },
  "early-stop": size("End after so many validations without a new best loss."),
  "reference": {
    kind: "text",
    metavar: "CURVE",
    help: `Curve to compare with: auto, none, run:DIR, ${REFERENCE_NAMES.join(", ")}.`,
  },
  "profile": { kind: "text", metavar: "FILE", help: "Write a Chrome trace of some steps to this file." },
  "profile-steps": { kind: "whole", min: 1, max: 1000, help: "Steps that are profiled; left out: 5." },
  "json": { kind: "switch", help: "Write JSON lines to standard output, text for people to standard error." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const USAGE = "deno task train [flags]";
const ABOUT = "Trains a GPT-2 through the compiler on this machine's WebGPU adapter and leaves checkpoints.";

/** Where runs go that name no directory. */
const RUNS = "runs";

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  const request = requestFrom(values);
  // What can be refused without a device is refused before one is opened.
  if (request.preset && !request.resume && !request.initFrom) planRun(request, false);

  await ensureAdapter();
  const screen = new OutputScreen(values.json ? Deno.stderr : Deno.stdout);
  const people = new HumanReport(screen);
  const report = values.json ? new JsonReport((line) => console.log(line), people) : people;
  const client = new TrainerClient((event) => report.show(event));
  onInterrupt(
    () => {
      screen.line("stopping: this step is finished and saved; Ctrl-C again ends at once without saving");
      client.stop();
    },
    () => Deno.exit(INTERRUPTED),
  );
  client.start(request);
  const last = await client.finished;
  if (last.kind === "failure") {
    screen.settle();
    console.error(`error: ${last.message}`);
    return last.badInput ? BAD_INPUT : FAILED;
  }
  if (last.step === 0) screen.line("stopped before the first step: nothing was saved");
  else if (last.reason === "stopped") {
    screen.line(`stopped at step ${last.step}; go on with: deno task train --resume --out ${request.out}`);
  }
  return 0;
}

function requestFrom(values: FlagValues<typeof FLAGS>): TrainRequest {
  if (values.resume && values.out === undefined) {
    const newest = newestRun();
    throw new InputError(
      "--resume",
      "it is not said which run to go on with",
      newest ? `add --out ${newest} (the newest)` : "add --out DIR",
    );
  }
  return {
    preset: values.preset,
    layers: values.layers,
    width: values.width,
    heads: values.heads,
    context: values.context,
    tokenizer: values.tokenizer,
    data: values.data === undefined ? undefined : userData(values.data),
    steps: values.steps,
    microBatch: values["micro-batch"],
    batchTokens: values["batch-tokens"],
    initFrom: values["init-from"] === undefined ? undefined : userInit(values["init-from"]),
    learningRate: values.lr,
    schedule: values.schedule,
    warmup: values.warmup,
    minLearningRate: values["min-lr"],
    seed: values.seed,
    dtype: values.dtype,
    mode: values.mode,
    memoryBytes: values.memory === undefined ? undefined : parseMemory(values.memory),
    out: values.out !== undefined ? userPath(values.out) : `${RUNS}/${timestamp(new Date())}`,
    resume: values.resume,
    tune: tuneChoice(values),
    evalEvery: values["eval-every"],
    evalBatches: values["eval-batches"],
    saveEvery: values["save-every"],
    keepLast: values["keep-last"],
    keepEvery: values["keep-every"],
    hellaswagEvery: values["hellaswag-every"],
    hellaswagLimit: values["hellaswag-limit"],
    hellaswagFile: values["hellaswag-file"] === undefined ? undefined : userPath(values["hellaswag-file"]),
    snapshotEvery: values["snapshot-every"],
    snapshotPrompt: values["snapshot-prompt"],
    snapshotTensors: values["snapshot-tensors"],
    earlyStop: earlyStopFrom(values),
    reference: values.reference === undefined ? undefined : userReference(values.reference),
    sampleEvery: values["sample-every"],
    profile: profileFrom(values),
    profileSteps: values["profile-steps"],
  };
}

/** Refuses a kind of weights that does not exist, and makes the path one of this machine. */
function userInit(initFrom: string): string {
  const path = initPath(initFrom);
  return initFrom.slice(0, -path.length) + userPath(path);
}

function earlyStopFrom(values: FlagValues<typeof FLAGS>): number | undefined {
  const patience = values["early-stop"];
  if (patience !== undefined && values["eval-every"] === 0) {
    throw new InputError(`--early-stop ${patience}`, "there are no validations", "leave out --eval-every 0");
  }
  return patience;
}

function profileFrom(values: FlagValues<typeof FLAGS>): string | undefined {
  const { profile } = values;
  const steps = values["profile-steps"];
  if (profile === undefined && steps !== undefined) {
    throw new InputError(
      `--profile-steps ${steps}`,
      "no file is named for the profile",
      "add --profile FILE",
    );
  }
  return profile === undefined ? undefined : userPath(profile);
}

function newestRun(): string | undefined {
  try {
    const names = [...Deno.readDirSync(RUNS)].filter((entry) => entry.isDirectory).map(({ name }) => name);
    return names.length > 0 ? `${RUNS}/${names.sort().at(-1)}` : undefined;
  } catch {
    return undefined; // no run has been made here
  }
}

/** `20260131-142233`: names of runs sort by time. */
function timestamp(date: Date): string {
  return date.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
}

if (import.meta.main) await runCommand(() => main(Deno.args));
