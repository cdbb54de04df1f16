/**
 * The compute server: training jobs, text from models, and the compiler's programs over HTTP. `deno task serve` runs
 * it; `createApp` is the application without a port.
 *
 * | folder | what it does |
 * | --- | --- |
 * | `http/` | what surrounds every request: ids, log, access, limits, errors |
 * | `operations/` | health, metrics, start and end |
 * | `generation/` | text: the Worker that draws it, `/generate` and OpenAI's API |
 * | `training/` | jobs: their queue, database, events and routes |
 * | `programs/` | what the compiler made of each program |
 * | `pages/` | dashboard, playground and program viewer |
 * | `reference/` | `/openapi.json` and the page that shows it |
 *
 * @module
 */
export { type Application, type AppOptions, createApp } from "./app.ts";
export { Access, type Role, type Tokens } from "./http/access.ts";
export type { ShellEnv } from "./http/context.ts";
export { ApiError, type ApiErrorDetails } from "./http/error.ts";
export type { RequestLimits } from "./http/limits.ts";
export { Log, LOG_FORMATS, type LogFields, type LogFormat, type RequestRecord } from "./http/log.ts";
export type { AnsweredRequest, HttpMetrics } from "./operations/http_metrics.ts";
export type { GenerationMetrics } from "./operations/generation_metrics.ts";
export { Lifecycle, type Phase } from "./operations/lifecycle.ts";
export { Metrics } from "./operations/metrics.ts";
export type { ThreadDelay } from "./operations/thread_delay.ts";
export type { TrainingMetrics } from "./operations/training_metrics.ts";
export type {
  EventQuery,
  GenerationLoad,
  GenerationService,
  Job,
  JobCheckpoint,
  JobEvent,
  JobQuery,
  JobState,
  ProgramService,
  ProgramSummary,
  ServedModel,
  Services,
  StepMetrics,
  TrainingService,
} from "./services.ts";
