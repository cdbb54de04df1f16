/**
 * `deno task generate`: continues a prompt with the model of a checkpoint. Text appears as it is drawn.
 *
 * @module
 */
import { loadTokenizer, type TokenizerName } from "../../data/mod.ts";
import { ensureAdapter, openDevice } from "../../runtime/mod.ts";
import {
  type Checkpoint,
  CheckpointError,
  latestCheckpoint,
  listCheckpoints,
  openCheckpoint,
} from "../checkpoint.ts";
import { GPT2_VOCABULARY } from "../config.ts";
import { InputError } from "../errors.ts";
import { Generator } from "../generator.ts";
import { joinParameters, layoutParameters } from "../params.ts";
import { readTensors } from "../checkpoint.ts";
import { MODE_NAMES } from "../run_options.ts";
import { writeArenas } from "../session.ts";
import { Tuning } from "../tuning.ts";
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
    min: 1,
    max: MANY,
    help: "Draw from this many of the likeliest tokens; 50 unless told otherwise.",
  },
  "seed": { kind: "whole", min: 0, max: 2 ** 32 - 1, help: "Another seed, another text." },
  "mode": { kind: "choice", choices: MODE_NAMES, help: "Fused kernels, or one kernel for each operation." },
  "tune": { kind: "switch", help: "Measure kernels for some seconds first, however short the text is." },
  "no-tune": { kind: "switch", help: "Measure nothing, and use nothing that was measured before." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(
      "deno task generate --checkpoint DIR --prompt TEXT [flags]",
      "Continues a prompt with the model of a checkpoint. A text longer than the model's context is seen through a\n" +
        "sliding window.",
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
  const checkpoint = await findCheckpoint(userPath(directory));
  const { config } = checkpoint;
  const tokenizer = await loadTokenizer(tokenizerOf(checkpoint));
  const tokens = tokenizer.encode(prompt);
  await ensureAdapter();
  const device = await openDevice();
  console.error(`${checkpoint.path} on ${device.describe()}`);

  const count = values["max-tokens"] ?? 200;
  const layout = layoutParameters(config);
  const states = device.createStates();
  const mode = values.mode ?? "fused";
  const tuning = await Tuning.open(device, { choice, mode, steps: count, notify: console.error });
  const capacity = tokens.length + count;
  const generator = await Generator.load(device, states, config, { capacity, mode, tuning });
  const params = joinParameters(layout, await readTensors(checkpoint, "model.safetensors"));
  writeArenas(states, layout, "params", params);
  const output = new TokenStream(tokenizer.decodeBytes);
  output.text(prompt);
  const { temperature = 0.8, "top-k": topK = 50, seed = 1337 } = values;
  await generator.generate(
    Int32Array.from(tokens),
    count,
    { temperature, topK, seed },
    (drawn) => output.tokens(drawn),
  );
  output.end();
  return 0;
}

function needed(flag: string, value: string | undefined, remedy: string): string {
  if (value === undefined) throw new InputError(`--${flag}`, "it is missing", remedy);
  return value;
}

/** The checkpoint at a path: a step folder, or the newest good one of a run. */
async function findCheckpoint(path: string): Promise<Checkpoint> {
  const steps = await listCheckpoints(path);
  if (steps.length > 0) {
    const { checkpoint, rejected } = await latestCheckpoint(path);
    if (!checkpoint) throw rejected[0];
    for (const { message } of rejected) console.error(`refused: ${message}`);
    return checkpoint;
  }
  try {
    await Deno.stat(path);
  } catch {
    throw new InputError(
      `--checkpoint ${path}`,
      "there is no such directory",
      "name one that deno task train has made",
    );
  }
  try {
    return await openCheckpoint(path);
  } catch (problem) {
    if (!(problem instanceof CheckpointError)) throw problem;
    const older = await olderThan(path);
    throw older ? new InputError(problem.message, "refused", `the next older one is ${older}`) : problem;
  }
}

/** The newest good checkpoint beside a damaged one that is older than it. */
async function olderThan(path: string): Promise<string | undefined> {
  const parent = path.replace(/[/\\]+$/, "").replace(/[/\\]?[^/\\]+$/, "") || ".";
  for (const other of (await listCheckpoints(parent)).filter((other) => other < path)) {
    if (await openCheckpoint(other).then(() => true, () => false)) return other;
  }
}

function tokenizerOf({ config }: Checkpoint): TokenizerName {
  return config.vocabulary === GPT2_VOCABULARY ? "gpt2" : "bytes";
}

/** Tokens as text on standard output; characters whose bytes come in several tokens appear when they are whole. */
class TokenStream {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();

  constructor(private readonly decodeBytes: (tokens: ArrayLike<number>) => Uint8Array<ArrayBuffer>) {}

  tokens(tokens: Int32Array): void {
    this.text(this.#decoder.decode(this.decodeBytes(tokens), { stream: true }));
  }

  text(text: string): void {
    let bytes = this.#encoder.encode(Deno.stdout.isTerminal() ? printable(text) : text);
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }

  end(): void {
    this.text(`${this.#decoder.decode()}\n`);
  }
}

if (import.meta.main) await runCommand(() => main(Deno.args));
