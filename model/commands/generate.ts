/**
 * `deno task generate`: continues a prompt with the model of a checkpoint. Text appears as it is drawn.
 *
 * @module
 */
import { ensureAdapter, openDevice } from "../../runtime/mod.ts";
import { InputError } from "../errors.ts";
import {
  type GeneratedToken,
  type GenerationEvent,
  type GenerationRequest,
  MAX_LOGPROBS,
} from "../generation.ts";
import { runPipeline } from "../pipeline.ts";
import { PRECISIONS, requirePrecision } from "../precision.ts";
import { MODE_NAMES } from "../run_options.ts";
import { ServedModel } from "../served_model.ts";
import { Tuning } from "../tuning.ts";
import { openWeights } from "../weights.ts";
import { runCommand } from "./exit.ts";
import { type Flags, helpText, MANY, parseFlags, tuneChoice } from "./flags.ts";
import { userPath } from "./paths.ts";
import { printable } from "./text.ts";

const FLAGS = {
  "checkpoint": { kind: "text", metavar: "DIR", help: "Directory of a run, or one of its step folders." },
  "prompt": { kind: "text", metavar: "TEXT", help: "Text to continue." },
  "max-tokens": { kind: "whole", min: 1, max: 65_536, help: "Tokens to draw; 200 unless told otherwise." },
  "temperature": {
    kind: "number",
    min: 0,
    max: 100,
    help: "0 takes the likeliest token; 0.8 unless told otherwise.",
  },
  "top-k": {
    kind: "whole",
    min: 0,
    max: MANY,
    help: "Draw from this many of the likeliest tokens, 0 from all; 50 unless told otherwise.",
  },
  "top-p": {
    kind: "number",
    min: 0,
    open: true,
    max: 1,
    help: "Draw from the likeliest tokens that have this much of the probability together.",
  },
  "min-p": {
    kind: "number",
    min: 0,
    max: 1,
    help: "Leave out tokens that are less likely than this part of the likeliest one.",
  },
  "repetition-penalty": {
    kind: "number",
    min: 0.01,
    max: 100,
    help: "Above 1, what the text has already becomes less likely.",
  },
  "stop": { kind: "list", metavar: "TEXT", help: "End before this text; may be given several times." },
  "samples": {
    kind: "whole",
    min: 1,
    max: 64,
    help: "Continuations, with seeds that count up; 1 by default.",
  },
  "logprobs": {
    kind: "whole",
    min: 0,
    max: MAX_LOGPROBS,
    help: "Show each token's log-probability and so many alternatives.",
  },
  "json": { kind: "switch", help: "Print events as lines of JSON." },
  "seed": { kind: "whole", min: 0, max: 2 ** 32 - 1, help: "Another seed, another text." },
  "dtype": {
    kind: "choice",
    choices: PRECISIONS,
    help: "What the weights are kept in; f32 unless told otherwise.",
  },
  "mode": { kind: "choice", choices: MODE_NAMES, help: "Fused kernels, or one kernel for each operation." },
  "tune": { kind: "switch", help: "Measure kernels for some seconds first, however short the text is." },
  "no-tune": { kind: "switch", help: "Measure nothing, and use nothing that was measured before." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

/** Tokens of a prompt that are a mistake. */
const MAX_PROMPT_TOKENS = 1_000_000;

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task generate --checkpoint DIR --prompt TEXT [flags]",
      "Continues a prompt with the model of a checkpoint. A text longer than the model's context is seen through a\n" +
        "window that moves by half a context at a time.",
      FLAGS,
    ));
    return 0;
  }
  const choice = tuneChoice(values);
  const directory = needed(
    "checkpoint",
    values.checkpoint,
    "name the directory of a run, such as runs/first",
  );
  const prompt = needed("prompt", values.prompt, 'give a text, such as --prompt "The whale"');
  const weights = await openWeights(userPath(directory), { notify: console.error });
  await ensureAdapter();
  const device = await openDevice();
  const { mode = "fused", dtype = "f32", samples = 1, "max-tokens": maxTokens = 200 } = values;
  requirePrecision(dtype, device.capabilities, device.info.description);
  console.error(`${weights.path} on ${device.describe()}`);

  const tuning = await Tuning.open(device, { choice, mode, steps: maxTokens, notify: console.error });
  const { tokenizer, batcher } = await ServedModel.open(device, weights, {
    maxSlots: samples,
    maxWaiting: samples,
    cacheBytes: Infinity,
    maxPromptTokens: MAX_PROMPT_TOKENS,
    mode,
    dtype,
    tuning,
  });
  const request: GenerationRequest = {
    prompt: [...tokenizer.encode(prompt)],
    maxTokens,
    sampling: {
      temperature: values.temperature ?? 0.8,
      topK: values["top-k"] ?? 50,
      topP: values["top-p"] ?? 1,
      minP: values["min-p"] ?? 0,
      repetitionPenalty: values["repetition-penalty"] ?? 1,
      seed: values.seed ?? 1337,
    },
    stop: values.stop ?? [],
    choices: samples,
    ...values.logprobs === undefined ? {} : { logprobs: values.logprobs },
  };
  const output = values.json
    ? new JsonOutput()
    : samples === 1
    ? new StreamOutput(prompt)
    : new ListOutput(prompt);
  let failure: string | undefined;
  batcher.submit(request, (event) => {
    if (event.kind === "failure") failure = event.message;
    output.take(event);
  });
  await runPipeline(batcher.submissions());
  if (failure !== undefined) throw new InputError("--prompt", failure, "give another one");
  return 0;
}

/** Takes the events of an answer. */
interface Output {
  take(event: GenerationEvent): void;
}

/** Events as lines of JSON. */
class JsonOutput implements Output {
  take(event: GenerationEvent): void {
    write(`${JSON.stringify(event)}\n`);
  }
}

/** One text, as it is drawn. */
class StreamOutput implements Output {
  readonly #tokens: GeneratedToken[] = [];

  constructor(prompt: string) {
    show(prompt);
  }

  take(event: GenerationEvent): void {
    if (event.kind === "text") {
      show(event.text);
      this.#tokens.push(...event.tokens);
    }
    if (event.kind !== "end") return;
    write("\n");
    write(tableOf(this.#tokens));
  }
}

/** Several texts, each when it is whole. */
class ListOutput implements Output {
  readonly #texts = new Map<number, { text: string; tokens: GeneratedToken[] }>();

  constructor(private readonly prompt: string) {}

  take(event: GenerationEvent): void {
    if (event.kind !== "text" && event.kind !== "finish") return;
    const { choice } = event;
    const own = this.#texts.get(choice) ?? { text: "", tokens: [] };
    this.#texts.set(choice, own);
    if (event.kind === "text") {
      own.text += event.text;
      own.tokens.push(...event.tokens);
      return;
    }
    write(`--- ${choice + 1} (${event.reason})\n`);
    show(`${this.prompt}${own.text}`);
    write("\n");
    write(tableOf(own.tokens));
  }
}

/** Log-probabilities as a table; nothing when nobody asked for them. */
function tableOf(tokens: readonly GeneratedToken[]): string {
  const quoted = (text: string) => JSON.stringify(text);
  const figure = (logprob: number | undefined) => logprob === undefined ? "" : logprob.toFixed(3);
  return tokens.filter(({ logprob }) => logprob !== undefined).map(({ text, logprob, top = [] }) => {
    const others = top.map((other) => `${quoted(other.text)} ${figure(other.logprob)}`).join("  ");
    return `${quoted(text).padEnd(14)} ${figure(logprob).padStart(8)}${
      others === "" ? "" : `   ${others}`
    }\n`;
  }).join("");
}

/** A model's text on standard output; what would steer a terminal is shown instead. */
function show(text: string): void {
  write(Deno.stdout.isTerminal() ? printable(text) : text);
}

/** All of a text, also into a pipe that is slow. */
function write(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

function needed(flag: string, value: string | undefined, remedy: string): string {
  if (value === undefined) throw new InputError(`--${flag}`, "it is missing", remedy);
  return value;
}

if (import.meta.main) await runCommand(() => main(Deno.args));
