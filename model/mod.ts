/**
 * GPT-2 on top of the compiler: the model and its optimizer as tensor code, training in a Worker, generation.
 *
 * | file | idea |
 * |---|---|
 * | `config.ts`, `run_options.ts` | presets, and what a request to train becomes |
 * | `params.ts`, `init.ts` | one flat tensor of parameters, and how it starts |
 * | `gpt2.ts` | the model |
 * | `precision.ts` | what is f16 in mixed precision, and the loss scale |
 * | `optimizer.ts`, `schedule.ts` | clipping, AdamW, learning rate |
 * | `sampler.ts` | the next token, drawn on the device |
 * | `programs.ts` | all of that as programs for the compiler |
 * | `trainer.ts`, `train_worker.ts`, `trainer_client.ts`, `messages.ts` | a run in a Worker, watched from outside |
 * | `run/` | what a run does besides steps: validations, checkpoints, records, alarms |
 * | `weights.ts`, `init_from.ts` | trained weights, wherever they lie, and runs that begin with them |
 * | `tuning.ts` | which schedules a run's kernels get |
 * | `generation.ts` | what a request for text asks for, and what comes back |
 * | `generator.ts` | text from a model |
 * | `checkpoint.ts`, `safetensors.ts`, `durable_files.ts` | runs on disk |
 * | `huggingface/` | weights as `transformers` keeps them |
 * | `evaluation/` | HellaSwag and the loss on a text |
 * | `watch/` | attention and predictions of a run's states, as a page |
 * | `commands/` | what `deno task` runs, a file for each |
 *
 * @module
 */
export {
  type ModelConfig,
  paddedVocabulary,
  PRESET_NAMES,
  type PresetName,
  PRESETS,
  resolveConfig,
} from "./config.ts";
export { InputError } from "./errors.ts";
export {
  DEFAULT_SAMPLING,
  type FinishReason,
  type GeneratedToken,
  type GenerationEvent,
  type GenerationFailure,
  type GenerationRequest,
  MAX_LOGPROBS,
  type Sampling,
  type TokenLogprob,
} from "./generation.ts";
export { logitsAt, loss, type Parameters } from "./gpt2.ts";
export type {
  AlarmEvent,
  EndReason,
  EvaluationEvent,
  FailureReason,
  PlanEvent,
  ReplyEvent,
  StepEvent,
  TrainerAsk,
  TrainerCommand,
  TrainerEvent,
  ValidationEvent,
} from "./messages.ts";
export {
  type Arena,
  type Initializer,
  layoutParameters,
  type Parameter,
  type ParameterLayout,
} from "./params.ts";
export { type Precision, PRECISIONS } from "./precision.ts";
export type { MemoryReport } from "./memory.ts";
export type { ReportSummary } from "./program_reports.ts";
export type { ProfileSummary, StepRange } from "./profile_plan.ts";
export {
  type BatchShape,
  type SampleShape,
  traceApplyStep,
  traceInit,
  traceLoss,
  traceMicroStep,
  traceSample,
  traceTrainStep,
} from "./programs.ts";
export {
  MODE_NAMES,
  type ModeName,
  planRun,
  type RunPlan,
  tokensPerStep,
  type TrainRequest,
} from "./run_options.ts";
export type { DiskPlan } from "./run/disk_plan.ts";
export type { Watching } from "./run/watching.ts";
export {
  learningRate,
  type Schedule,
  SCHEDULE_SHAPES,
  type ScheduleChoice,
  scheduleFor,
  type ScheduleShape,
} from "./schedule.ts";
export { type FinalEvent, TrainerClient } from "./trainer_client.ts";
export { TUNE_NAMES, type TuneChoice } from "./tuning.ts";
export { openWeights, type Weights, type WeightsOptions } from "./weights.ts";
