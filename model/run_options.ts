/**
 * What a training run is asked for, and what it will do: a {@link TrainRequest} leaves open whatever the user left
 * out, a {@link RunPlan} has every number. The step between is a pure function of the request and the adapter's kind,
 * so a command, a server and a test get the same plan from the same request.
 *
 * @module
 */
import type { TokenizerName } from "../data/mod.ts";
import {
  BYTE_VOCABULARY,
  GPT2_VOCABULARY,
  type ModelConfig,
  PRESET_NAMES,
  type PresetName,
  resolveConfig,
} from "./config.ts";
import { InputError } from "./errors.ts";
import { finetuneRate, nearestPreset, refuseOtherModel } from "./init_from.ts";
import { type Precision, requireSizes } from "./precision.ts";
import { checkSchedule, type ScheduleChoice, type ScheduleShape } from "./schedule.ts";
import { type Watching, watchingOf } from "./run/watching.ts";
import type { TuneChoice } from "./tuning.ts";
import type { Weights } from "./weights.ts";

/** Micro batches of a validation: unless told otherwise, and at most, since their losses wait for one readback. */
export const VALIDATION_BATCHES = { usual: 8, most: 256 } as const;

/** Compiler modes by name. */
export const MODE_NAMES = ["fused", "eager"] as const;
/** Name of a compiler mode. */
export type ModeName = (typeof MODE_NAMES)[number];

/** What a user asks for; whatever is left out is chosen by {@link planRun}. */
export interface TrainRequest extends Watching {
  /** Preset to start from. */
  readonly preset?: PresetName;
  /** Transformer blocks. */
  readonly layers?: number;
  /** Width of the residual stream. */
  readonly width?: number;
  /** Attention heads. */
  readonly heads?: number;
  /** Tokens of a sequence. */
  readonly context?: number;
  /** Tokenizer. */
  readonly tokenizer?: TokenizerName;
  /** `moby-dick`, `shakespeare`, `text:FILE` or `shards:DIR`. */
  readonly data?: string;
  /** Weights to begin with: `hf:DIR` or `checkpoint:DIR`. The model's sizes and tokenizer are theirs. */
  readonly initFrom?: string;
  /** Optimizer steps. */
  readonly steps?: number;
  /** Sequences that pass through the model at once. */
  readonly microBatch?: number;
  /** Tokens of one optimizer step. */
  readonly batchTokens?: number;
  /** Peak learning rate. */
  readonly learningRate?: number;
  /** How the learning rate falls after its warm-up; cosine by default. */
  readonly schedule?: ScheduleShape;
  /** Steps of warm-up. */
  readonly warmup?: number;
  /** Learning rate at the end. */
  readonly minLearningRate?: number;
  /** Seed of weights, batches and samples. */
  readonly seed?: number;
  /** Dtype of what products read and write. */
  readonly dtype?: Precision;
  /** Compiler mode. */
  readonly mode?: ModeName;
  /** Most memory that the programs of a step may hold, in bytes. */
  readonly memoryBytes?: number;
  /** Directory of the run. */
  readonly out: string;
  /** Go on from the newest checkpoint in `out`. */
  readonly resume?: boolean;
  /** Whether kernels are measured before the first step; `auto` by default: when it pays. */
  readonly tune?: TuneChoice;
  /** Steps between validations; 0 for never. Likewise the next two. */
  readonly evalEvery?: number;
  /** Steps between checkpoints; 0 for one at the end only. */
  readonly saveEvery?: number;
  /** Steps between samples of text; 0 for never. */
  readonly sampleEvery?: number;
  /** False: the run leaves checkpoints only; no metrics, event files and no row in the list of runs. */
  readonly record?: boolean;
  /** File that a profile of some steps is written to, as a Chrome trace. */
  readonly profile?: string;
  /** Steps that are profiled as they run; 5 by default. */
  readonly profileSteps?: number;
  /** Directory that compiled programs are reported to; see `program_reports.ts`. */
  readonly programs?: string;
  /** Go on without a profile, with a notice, where there can be none. */
  readonly profileIsOptional?: boolean;
}

/** Everything that a run needs to know. Plain data: it travels to a Worker and lies beside a checkpoint. */
export interface RunPlan extends Watching {
  /** Preset it started from. */
  readonly preset: PresetName;
  /** The model. */
  readonly model: ModelConfig;
  /** The tokenizer. */
  readonly tokenizer: TokenizerName;
  /** Where the text comes from. */
  readonly data: string;
  /** Weights that it began with; left out: drawn from the seed. */
  readonly initFrom?: string;
  /** Optimizer steps of the whole run. */
  readonly steps: number;
  /** Sequences that pass through the model at once. */
  readonly microBatch: number;
  /** Micro steps of one optimizer step. */
  readonly accumulation: number;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** What was chosen of its schedule. */
  readonly schedule?: ScheduleChoice;
  /** Seed of weights, batches and samples. */
  readonly seed: number;
  /** Dtype of what products read and write. */
  readonly dtype: Precision;
  /** Compiler mode. */
  readonly mode: ModeName;
  /** Most memory that the programs of a step may hold, in bytes; left out: as much as the device has. */
  readonly memoryBytes?: number;
  /** Steps between validations; 0 for never. */
  readonly evalEvery: number;
  /** Steps between checkpoints. */
  readonly saveEvery: number;
  /** Steps between samples of text; 0 for never. */
  readonly sampleEvery: number;
}

/** Starting values of a preset, on a GPU and on a processor. */
interface Defaults {
  readonly steps: number;
  readonly learningRate: number;
  readonly saveEvery: number;
  readonly microBatch: { readonly gpu: number; readonly cpu: number };
  readonly accumulation: { readonly gpu: number; readonly cpu: number };
}

const one = { gpu: 1, cpu: 1 };

/** Peak learning rates: GPT-3's for models of these sizes (Brown et al. 2020, table 2.1); nano's was measured. */
const DEFAULTS: Readonly<Record<PresetName, Defaults>> = {
  "nano": {
    steps: 400,
    learningRate: 3e-3,
    saveEvery: 100,
    microBatch: { gpu: 16, cpu: 16 },
    accumulation: one,
  },
  "gpt2": {
    steps: 1000,
    learningRate: 6e-4,
    saveEvery: 250,
    microBatch: { gpu: 4, cpu: 1 },
    accumulation: { gpu: 4, cpu: 1 },
  },
  "gpt2-medium": {
    steps: 1000,
    learningRate: 3e-4,
    saveEvery: 250,
    microBatch: { gpu: 2, cpu: 1 },
    accumulation: { gpu: 8, cpu: 1 },
  },
  "gpt2-large": {
    steps: 1000,
    learningRate: 2.5e-4,
    saveEvery: 250,
    microBatch: one,
    accumulation: { gpu: 16, cpu: 1 },
  },
  "gpt2-xl": {
    steps: 1000,
    learningRate: 2e-4,
    saveEvery: 250,
    microBatch: one,
    accumulation: { gpu: 16, cpu: 1 },
  },
};

/** The preset that suits an adapter: one that learns in two minutes on a processor, GPT-2 124M on a GPU. */
export function presetFor(software: boolean): PresetName {
  return software ? "nano" : "gpt2";
}

/** The tokenizer that a preset takes unless told otherwise. */
export function tokenizerFor(preset: PresetName): TokenizerName {
  return preset === "nano" ? "bytes" : "gpt2";
}

/**
 * Fills in a request. `software` says whether the adapter runs on the processor.
 *
 * @param weights Those that the run begins with, if it does: the model and the tokenizer are theirs.
 * @throws {InputError} when the numbers do not fit together; nothing has been read or written by then.
 * @example
 * ```ts
 * import { planRun } from "@sinter/sinter/model";
 * const { model, steps, microBatch } = planRun({ out: "runs/first", preset: "nano" }, true);
 * console.log(model.layers, steps, microBatch);
 * ```
 */
export function planRun(request: TrainRequest, software: boolean, weights?: Weights): RunPlan {
  if (weights) refuseOtherModel(request, weights);
  const preset = weights ? nearestPreset(weights.config) : request.preset ?? presetFor(software);
  const tokenizer = weights ? tokenizerOf(weights) : request.tokenizer ?? tokenizerFor(preset);
  const model = modelOf(request, preset, tokenizer, weights);
  const dtype = request.dtype ?? "f32";
  requireSizes(dtype, model);
  const defaults = DEFAULTS[preset];
  const kind = software ? "cpu" : "gpu";
  const microBatch = request.microBatch ?? defaults.microBatch[kind];
  const steps = request.steps ?? defaults.steps;
  const learningRate = request.learningRate ??
    (weights ? finetuneRate(defaults.learningRate) : defaults.learningRate);
  const schedule = scheduleChoice(request);
  checkSchedule(learningRate, steps, schedule);
  return {
    preset,
    model,
    tokenizer,
    data: request.data ?? "moby-dick",
    ...request.initFrom === undefined ? {} : { initFrom: request.initFrom },
    steps,
    microBatch,
    accumulation: request.batchTokens === undefined
      ? defaults.accumulation[kind]
      : accumulationFor(request.batchTokens, microBatch, model.context),
    learningRate,
    ...schedule && { schedule },
    seed: request.seed ?? 1337,
    dtype,
    mode: request.mode ?? "fused",
    ...request.memoryBytes === undefined ? {} : { memoryBytes: request.memoryBytes },
    evalEvery: request.evalEvery ?? 50,
    saveEvery: request.saveEvery ?? defaults.saveEvery,
    sampleEvery: request.sampleEvery ?? 100,
    ...watchingOf(request),
  };
}

/** What a request says of the learning rate's course; undefined: nothing. */
export function scheduleChoice(
  { schedule: shape, warmup, minLearningRate: floor }: TrainRequest,
): ScheduleChoice | undefined {
  if (shape === undefined && warmup === undefined && floor === undefined) return undefined;
  return {
    ...shape !== undefined && { shape },
    ...warmup !== undefined && { warmup },
    ...floor !== undefined && { floor },
  };
}

function tokenizerOf({ config, path }: Weights): TokenizerName {
  if (config.vocabulary === GPT2_VOCABULARY) return "gpt2";
  if (config.vocabulary === BYTE_VOCABULARY) return "bytes";
  throw new InputError(
    `--init-from ${path}`,
    `a vocabulary of ${config.vocabulary} tokens, for which there is no tokenizer here`,
    `take weights of ${BYTE_VOCABULARY} (bytes) or ${GPT2_VOCABULARY} tokens (GPT-2)`,
  );
}

function modelOf(
  { layers, width, heads, context }: TrainRequest,
  preset: PresetName,
  tokenizer: TokenizerName,
  weights: Weights | undefined,
): ModelConfig {
  if (weights) return { ...weights.config, context: context ?? weights.config.context };
  const vocabulary = tokenizer === "bytes" ? BYTE_VOCABULARY : GPT2_VOCABULARY;
  return resolveConfig(preset, { layers, width, heads, context, vocabulary });
}

/** Tokens of one optimizer step. */
export function tokensPerStep({ microBatch, accumulation, model }: RunPlan): number {
  return microBatch * accumulation * model.context;
}

/** The preset to name to somebody who would rather have the other one. */
export function otherPreset(preset: PresetName): PresetName {
  return preset === PRESET_NAMES[0] ? "gpt2" : "nano";
}

function accumulationFor(batchTokens: number, microBatch: number, context: number): number {
  const micro = microBatch * context;
  if (batchTokens % micro === 0) return batchTokens / micro;
  const near = Math.max(1, Math.round(batchTokens / micro)) * micro;
  throw new InputError(
    `--batch-tokens ${batchTokens}`,
    `not a multiple of --micro-batch ${microBatch} x --context ${context} = ${micro} tokens`,
    `take --batch-tokens ${near}, or another --micro-batch`,
  );
}
