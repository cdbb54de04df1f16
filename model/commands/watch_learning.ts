/**
 * `deno task watch-learning`: goes through a run and writes one page that shows how attention and predictions form.
 *
 * @module
 */
import { basename, join } from "@std/path";
import { isFileProblem } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { renderPage } from "../watch/page.ts";
import { pageData, type Watched } from "../watch/page_data.ts";
import { putFile } from "../watch/put_file.ts";
import { findRun, parseSteps } from "../watch/sources.ts";
import { type WatchListener, watchModel, type WatchOptions, watchRun } from "../watch/watch.ts";
import { openWeights } from "../weights.ts";
import { INTERRUPTED, runCommand } from "./exit.ts";
import { type Flags, type FlagValues, helpText, parseFlags } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { userPath } from "./paths.ts";
import { OutputScreen } from "./screen.ts";
import { clock, mebibytes } from "./text.ts";

const FLAGS = {
  "run": { kind: "text", metavar: "NAME|DIR", help: "A run: its name in runs/, or its folder." },
  "checkpoint": {
    kind: "text",
    metavar: "DIR",
    help: "A single model instead: a step folder, or a folder with Hugging Face's files.",
  },
  "prompt": {
    kind: "text",
    metavar: "TEXT",
    help: "Text whose attention and predictions are shown; left out: that of the run's snapshots.",
  },
  "out": { kind: "text", metavar: "FILE", help: "The page; watch.html in the run's folder by default." },
  "from": {
    kind: "choice",
    choices: ["checkpoints", "snapshots"],
    help: "What to go through; snapshots where they have the prompt, unless told otherwise.",
  },
  "steps": { kind: "text", metavar: "LIST", help: "Only these steps, such as 0,50,100-200 or 1000-." },
  "most": {
    kind: "whole",
    min: 1,
    max: 1000,
    help: "Steps at most, spread evenly; 60 unless told otherwise.",
  },
  "sample-tokens": {
    kind: "whole",
    min: 0,
    max: 1024,
    help: "Tokens of the sample after the prompt, 0 for none; 40, or 160 bytes, by default.",
  },
  "temperature": {
    kind: "number",
    min: 0,
    max: 100,
    help: "Of the sample; 0 takes the likeliest token; 0.8 by default.",
  },
  "seed": {
    kind: "whole",
    min: 0,
    max: 2 ** 32 - 1,
    help: "Of the sample, at every step; 1337 by default.",
  },
  "json": {
    kind: "switch",
    help: "Print a line of JSON for each step and for the page; progress goes to standard error.",
  },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task watch-learning --run NAME|DIR --prompt TEXT [flags]",
      "Writes one HTML page, which needs no network, that shows how a model learns: attention of every head, predictions\n" +
        "and sample text at each step, with the loss beside them. Light snapshots (deno task train --snapshot-every)\n" +
        "need no --prompt and no GPU; checkpoints can be asked any prompt.",
      FLAGS,
    ));
    return 0;
  }
  onInterrupt(() => Deno.exit(INTERRUPTED), () => {});
  const progress = new Progress(values.json === true);
  const { watched, path } = await watch(values, progress);
  const data = await pageData(watched);
  const html = new TextEncoder().encode(renderPage(data));
  try {
    await putFile(path, html);
  } catch (problem) {
    if (!isFileProblem(problem)) throw problem;
    throw new InputError(`--out ${path}`, `cannot be written (${problem.message})`, "name another file");
  }
  progress.end({ path, bytes: html.length, steps: watched.frames.length, source: watched.source });
  return 0;
}

/** What is to be shown, and where. */
async function watch(
  values: FlagValues<typeof FLAGS>,
  progress: Progress,
): Promise<{ readonly watched: Watched; readonly path: string }> {
  const { run, checkpoint, out, prompt } = values;
  if ((run === undefined) === (checkpoint === undefined)) {
    throw new InputError(
      run === undefined ? "--run" : `--run ${run} --checkpoint ${checkpoint}`,
      run === undefined ? "it is missing" : "both are given",
      "name a run with --run, or a single model with --checkpoint",
    );
  }
  const options: WatchOptions = {
    prompt,
    sampleTokens: values["sample-tokens"],
    temperature: values.temperature ?? 0.8,
    seed: values.seed ?? 1337,
    steps: values.steps === undefined ? undefined : parseSteps(values.steps),
    most: values.most ?? 60,
    from: values.from,
  };
  if (run !== undefined) {
    const folder = await findRun(run, userPath(run));
    const path = out === undefined ? join(folder.path, "watch.html") : userPath(out);
    return { path, watched: await watchRun(folder, options, progress) };
  }
  for (const flag of ["steps", "from", "most"] as const) {
    if (values[flag] === undefined) continue;
    throw new InputError(
      `--${flag} ${values[flag]}`,
      "a single model has no steps",
      "leave it out, or take --run",
    );
  }
  const weights = await openWeights(userPath(checkpoint!), { notify: (text) => progress.notify(text) });
  const name = [weights.name, basename(weights.path)].filter((part) => part !== "").join("-");
  const path = userPath(out ?? `watch-${name}.html`);
  return { path, watched: await watchModel(weights, options, progress) };
}

/** Between lines of progress where there is no terminal, in milliseconds. */
const LINE_EVERY = 5000;

/** Says how far it is. */
class Progress implements WatchListener {
  readonly #screen: OutputScreen;
  #said = performance.now();

  constructor(private readonly json: boolean) {
    this.#screen = new OutputScreen(json ? Deno.stderr : Deno.stdout);
  }

  onFrame({ step, done, of, ms }: Parameters<WatchListener["onFrame"]>[0]): void {
    if (this.json) console.log(JSON.stringify({ event: "step", step, done, of, ms: Math.round(ms) }));
    const what = step === undefined ? "the model" : `step ${step}`;
    const text = `looked at ${what} (${done} of ${of}), ${clock((of - done) * ms)} left`;
    if (this.#screen.columns !== undefined) this.#screen.status(text.slice(0, this.#screen.columns - 1));
    else if (performance.now() - this.#said >= LINE_EVERY) {
      this.#said = performance.now();
      this.#screen.line(text);
    }
  }

  notify(text: string): void {
    this.#screen.line(text);
  }

  end(
    page: { readonly path: string; readonly bytes: number; readonly steps: number; readonly source: string },
  ): void {
    if (this.json) console.log(JSON.stringify({ event: "page", ...page }));
    this.#screen.settle();
    if (!this.json) {
      this.#screen.line(`${page.source}: ${page.path}, ${mebibytes(page.bytes)}; open it in a browser`);
    }
  }
}

if (import.meta.main) await runCommand(() => main(Deno.args));
