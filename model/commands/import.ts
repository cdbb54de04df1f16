/**
 * `deno task import`: makes a checkpoint of a model of Hugging Face's, from a folder or from the hub.
 *
 * @module
 */
import { basename, resolve } from "@std/path";
import { listCheckpoints } from "../checkpoint.ts";
import { exists } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { downloadModel, MODEL_ID } from "../huggingface/hub.ts";
import { importWeights } from "../huggingface/import.ts";
import { isHuggingFaceFolder, openHuggingFace } from "../huggingface/open.ts";
import { layoutParameters } from "../params.ts";
import { INTERRUPTED, runCommand } from "./exit.ts";
import { type Flags, type FlagValues, helpText, parseOperands } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { userPath } from "./paths.ts";
import { ProgressLine } from "./progress_line.ts";
import { OutputScreen } from "./screen.ts";
import { count, megabytes } from "./text.ts";

const FLAGS = {
  "name": { kind: "text", metavar: "NAME", help: "Name of the run that it becomes; left out: the model's." },
  "out": { kind: "text", metavar: "DIR", help: "Directory of the run; left out: runs/NAME." },
  "revision": { kind: "text", metavar: "REV", help: "Branch, tag or commit on the hub; left out: main." },
  "mirror": {
    kind: "text",
    metavar: "URL",
    help: "Server in place of the hub; left out: HF_ENDPOINT, if it is set.",
  },
  "json": { kind: "switch", help: "Write the result as JSON." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const USAGE = "deno task import DIR|OWNER/MODEL [flags]";
const ABOUT = "Reads a GPT-2 in Hugging Face's files, from a folder or the hub, and writes a checkpoint:\n" +
  "deno task import openai-community/gpt2 becomes runs/gpt2/step-000000.";

async function main(args: readonly string[]): Promise<number> {
  const { values, operands: [model] } = parseOperands(FLAGS, ["DIR|OWNER/MODEL"], args);
  if (values.help) {
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  const name = values.name ?? basename(resolve(userPath(model)));
  const run = values.out === undefined ? `runs/${name}` : userPath(values.out);
  await requireFree(run);
  const screen = new OutputScreen(values.json ? Deno.stderr : Deno.stdout);
  const { folder, commit } = await find(model, values, screen);
  const weights = await openHuggingFace(folder);
  const path = await importWeights(weights, run);
  const parameters = layoutParameters(weights.config).count;
  if (values.json) {
    console.log(JSON.stringify({ path, model, ...commit && { commit }, parameters, config: weights.config }));
  } else {
    screen.line(`${count(parameters)} parameters, in ${path}`);
    screen.line(
      `continue a text: deno task generate --checkpoint ${run} --prompt "Hello, I'm a language model,"`,
    );
  }
  return 0;
}

async function requireFree(run: string): Promise<void> {
  const [there] = await listCheckpoints(run);
  if (!there) return;
  throw new InputError(run, `there is a run in it already (${there})`, "give another --name or --out");
}

/** The model's folder, downloaded if it is none of this machine. */
async function find(
  model: string,
  { revision, mirror }: FlagValues<typeof FLAGS>,
  screen: OutputScreen,
): Promise<{ readonly folder: string; readonly commit?: string }> {
  const folder = userPath(model);
  if (await exists(folder)) {
    if (await isHuggingFaceFolder(folder)) return { folder };
    const isOwn = await exists(`${folder}/trainer.json`);
    const problem = isOwn ? "it is a checkpoint of this program's" : "there is no config.json in it";
    throw new InputError(model, problem, "name a folder that transformers' save_pretrained has made");
  }
  if (!MODEL_ID.test(model)) {
    throw new InputError(
      model,
      "there is no such folder",
      "name one, or a model of the hub such as openai-community/gpt2",
    );
  }
  const stop = new AbortController();
  onInterrupt(
    () => {
      screen.line("stopping: what is downloaded stays, and the same command goes on with it");
      stop.abort();
      Deno.exit(INTERRUPTED);
    },
    () => Deno.exit(INTERRUPTED),
  );
  const progress = new ProgressLine(screen);
  const found = await downloadModel(model, {
    revision,
    endpoint: mirror,
    signal: stop.signal,
    onProgress: (bytes, total) =>
      progress.show(
        bytes,
        total,
        (rate) => `${megabytes(bytes)} of ${megabytes(total)}, ${megabytes(rate)}/s`,
      ),
  });
  screen.line(`${model} at ${found.commit}, in ${found.folder}`);
  return found;
}

if (import.meta.main) await runCommand(() => main(Deno.args));
