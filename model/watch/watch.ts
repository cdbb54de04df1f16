/**
 * From a run or a model to everything that its page shows.
 *
 * @module
 */
import { loadTokenizer, type Tokenizer } from "../../data/mod.ts";
import { ensureAdapter, type GpuDevice, openDevice } from "../../runtime/mod.ts";
import type { ModelConfig } from "../config.ts";
import { InputError } from "../errors.ts";
import { joinParameters, layoutParameters } from "../params.ts";
import { readMetrics } from "../run/metrics.ts";
import { writeArenas } from "../session.ts";
import type { Weights } from "../weights.ts";
import type { Frame, Watched } from "./page_data.ts";
import { Probe, type ProbeSample } from "./probe.ts";
import {
  newestSnapshot,
  openedWeights,
  readSnapshots,
  type RunFolder,
  spread,
  type StepChoice,
  tokenizerOf,
} from "./sources.ts";

/** Tokens of a prompt that a page has room for. */
export const MOST_TOKENS = 128;

/** Tokens of the text after the prompt, unless told otherwise. */
const SAMPLE_TOKENS = { bytes: 160, gpt2: 40 } as const;

/** What to look at a model with. */
export interface WatchOptions {
  readonly prompt?: string;
  /** Left out: as many as make a sentence or two. */
  readonly sampleTokens?: number;
  readonly temperature: number;
  readonly seed: number;
  /** Which steps; left out: all. */
  readonly steps?: StepChoice;
  /** Steps at most; more are thinned out evenly. */
  readonly most: number;
  /** Left out: snapshots where they have the prompt, otherwise checkpoints. */
  readonly from?: "checkpoints" | "snapshots";
}

/** Hears how far it is. */
export interface WatchListener {
  /** A step has been looked at. */
  onFrame(
    frame: { readonly step?: number; readonly done: number; readonly of: number; readonly ms: number },
  ): void;
  /** Something that people should know. */
  notify(text: string): void;
}

/**
 * Looks at the steps of a run.
 *
 * @throws {InputError} when there is nothing to look at, or the prompt does not fit.
 */
export async function watchRun(
  run: RunFolder,
  options: WatchOptions,
  listener: WatchListener,
): Promise<Watched> {
  const { steps = () => true, most } = options;
  const chosen = (all: RunFolder["checkpoints"]) => spread(all.filter(({ step }) => steps(step)), most);
  const from = await chooseSource(run, options);
  const metrics = await readMetrics(run.path);
  const files = chosen(run[from]);
  if (files.length === 0) {
    const all = run[from];
    throw new InputError(
      "--steps",
      `none of the run's ${from} is chosen`,
      `they are of ${all.length} steps from ${all[0].step} to ${all.at(-1)!.step}`,
    );
  }
  const shared = { name: run.name, metrics };
  if (from === "snapshots") {
    const snapshots = await readSnapshots(files, (text) => listener.notify(text));
    const [{ model, tokenizer, prompt, tensors }] = snapshots;
    return {
      ...shared,
      source: counted(snapshots.length, "snapshot"),
      model,
      tokenizer: await loadTokenizer(tokenizer),
      prompt,
      tensors,
      frames: snapshots,
    };
  }
  const weights = openedWeights(files, (text) => listener.notify(text));
  const watched = await watchWeights(weights, files.length, options, listener);
  return { ...watched, ...shared, source: counted(watched.frames.length, "checkpoint") };
}

/** Looks at a single model. */
export async function watchModel(
  weights: Weights,
  options: WatchOptions,
  listener: WatchListener,
): Promise<Watched> {
  const watched = await watchWeights([weights], 1, options, listener);
  return { ...watched, name: weights.name, source: "a single model", metrics: [] };
}

/** Snapshots need no device and no prompt, but have only their own. */
async function chooseSource(
  run: RunFolder,
  { prompt, from }: WatchOptions,
): Promise<"checkpoints" | "snapshots"> {
  const { checkpoints, snapshots } = run;
  if (from !== undefined) {
    if (run[from].length === 0) {
      const other = from === "checkpoints" ? "snapshots" : "checkpoints";
      throw new InputError(`--from ${from}`, "the run has none", `take --from ${other}`);
    }
    if (from === "checkpoints" || prompt === undefined) return from;
  }
  if (snapshots.length === 0) return "checkpoints";
  if (prompt === undefined) return "snapshots";
  const newest = await newestSnapshot(snapshots);
  if (!newest) return from ?? (checkpoints.length > 0 ? "checkpoints" : "snapshots");
  const { prompt: own } = newest;
  const tokenizer = await loadTokenizer(newest.tokenizer);
  if ([...tokenizer.encode(prompt)].join() === own.join()) return "snapshots";
  if (from === undefined && checkpoints.length > 0) return "checkpoints";
  throw new InputError(
    `--prompt ${JSON.stringify(prompt)}`,
    `the run's snapshots hold only what was seen of ${JSON.stringify(tokenizer.decode(own))}`,
    checkpoints.length > 0
      ? "leave out --prompt, or take --from checkpoints, which can be asked anything"
      : "leave out --prompt, or train with --save-every: checkpoints can be asked anything",
  );
}

async function watchWeights(
  all: Iterable<Weights> | AsyncIterable<Weights>,
  count: number,
  options: WatchOptions,
  listener: WatchListener,
): Promise<Pick<Watched, "model" | "tokenizer" | "prompt" | "frames">> {
  let opened: Opened | undefined;
  const frames: Frame[] = [];
  try {
    let started = performance.now();
    let done = 0;
    for await (const weights of all) {
      opened ??= await openProbe(weights, options);
      const { states, probe, model } = opened;
      const layout = layoutParameters(model);
      writeArenas(states, layout, "params", joinParameters(layout, await weights.read()));
      const { step } = weights;
      frames.push({ step, observation: await probe.look() });
      const now = performance.now();
      listener.onFrame({ step, done: ++done, of: count, ms: now - started });
      started = now;
    }
    if (!opened) {
      throw new InputError(
        "--run",
        "every checkpoint that was chosen is damaged",
        "choose others with --steps",
      );
    }
    const { model, tokenizer, prompt } = opened;
    return { model, tokenizer, prompt, frames };
  } finally {
    opened?.device.destroy();
  }
}

interface Opened {
  readonly device: GpuDevice;
  readonly states: ReturnType<GpuDevice["createStates"]>;
  readonly probe: Probe;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly prompt: readonly number[];
}

/** A probe for models like this one. */
async function openProbe(weights: Weights, options: WatchOptions): Promise<Opened> {
  const { config: model } = weights;
  const tokenizer = await tokenizerOf(weights);
  const prompt = promptTokens(model, tokenizer, options.prompt);
  const sample: ProbeSample = {
    tokens: options.sampleTokens ?? SAMPLE_TOKENS[tokenizer.name],
    temperature: options.temperature,
    seed: options.seed,
  };
  await ensureAdapter();
  const device = await openDevice();
  try {
    const states = device.createStates();
    const probe = await Probe.load(device, states, model, { prompt, sample });
    return { device, states, probe, model, tokenizer, prompt };
  } catch (problem) {
    device.destroy();
    throw problem;
  }
}

function promptTokens(model: ModelConfig, tokenizer: Tokenizer, text: string | undefined): number[] {
  if (text === undefined) {
    throw new InputError("--prompt", "it is missing", 'give a text, such as --prompt "The white whale"');
  }
  const prompt = [...tokenizer.encode(text)];
  const most = Math.min(model.context, MOST_TOKENS);
  if (prompt.length <= most) return prompt;
  throw new InputError(
    `--prompt ${JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)}`,
    `${prompt.length} tokens`,
    `give at most ${most}${model.context <= MOST_TOKENS ? ", the model's context" : ""}`,
  );
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
