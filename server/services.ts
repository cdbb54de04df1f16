/**
 * What the HTTP side asks of the rest: text from models, training jobs, and the compiler's programs. Routes know these
 * interfaces only, so they are tested without a GPU, and nothing behind them knows HTTP.
 *
 * @module
 */
import type { GenerationEvent, GenerationRequest, ModelConfig, ReportSummary } from "../model/mod.ts";

/** A model that can be asked for text: the newest checkpoint of a run. */
export interface ServedModel {
  /** What requests call it: the run's name. */
  readonly id: string;
  /** Seconds since 1970: when the checkpoint was written. */
  readonly created: number;
  /** Training steps of the checkpoint. */
  readonly step: number;
  /** Its sizes. */
  readonly config: ModelConfig;
  /** Name of the tokenizer that it was trained with. */
  readonly tokenizer: string;
  /** True while its weights are on the device. */
  readonly isLoaded: boolean;
}

/** How busy generation is. */
export interface GenerationLoad {
  /** Sequences that are being continued now. */
  readonly running: number;
  /** Places for sequences on the device. */
  readonly slots: number;
  /** Requests that wait for a place. */
  readonly waiting: number;
  /** Requests that may wait; past it a request is refused. */
  readonly maxWaiting: number;
  /** Tokens of prompts since the start. */
  readonly promptTokens: number;
  /** Tokens that were drawn since the start. */
  readonly completionTokens: number;
  /** Bytes that models and their caches take on the device. */
  readonly deviceBytes: number;
  /** Seconds after which a refused client should try again. */
  readonly retryAfter: number;
}

/** Text from models. */
export interface GenerationService {
  /** Every model that could be asked, newest first. */
  models(): Promise<readonly ServedModel[]>;
  /**
   * Answers a request. Aborting the signal, or leaving the iterator, frees its places at once. Failures come as an event,
   * not as an exception.
   *
   * @param model Name of a model; left out: the newest.
   */
  generate(
    model: string | undefined,
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncIterable<GenerationEvent>;
  /** How busy it is now. */
  load(): GenerationLoad;
}

/** Where a training job stands. */
export type JobState = "queued" | "running" | "paused" | "finished" | "failed" | "cancelled";

/** A training job as clients see it. */
export interface Job {
  /** Also the name of the run's directory and of the model that it trains. */
  readonly id: string;
  /** Where it stands. */
  readonly state: JobState;
  /** Place in the queue, counted from 1; only while it is queued. */
  readonly position?: number;
  /** ISO 8601. */
  readonly createdAt: string;
  /** When it first had the device. */
  readonly startedAt?: string;
  /** When it finished, failed or was cancelled. */
  readonly endedAt?: string;
  /** What was asked for. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What it became: every number of the run; there once the job has started. */
  readonly plan?: Readonly<Record<string, unknown>>;
  /** Steps that are done. */
  readonly step: number;
  /** Steps in all. */
  readonly steps?: number;
  /** Of the newest step, in nats. */
  readonly loss?: number;
  /** The newest one, in nats. */
  readonly validationLoss?: number;
  /** Of the newest step. */
  readonly tokensPerSecond?: number;
  /** Why it failed. */
  readonly error?: string;
}

/** Something that happened to a job. Ids grow by one from 1 and are never used again, also across restarts. */
export interface JobEvent {
  /** Larger than those of the events before it. */
  readonly id: number;
  /** ISO 8601. */
  readonly time: string;
  /** `state`, or a kind of the trainer's events: `plan`, `compiled`, `step`, `validation`, `sample`, `checkpoint`, … */
  readonly kind: string;
  /** The event's own fields. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** A checkpoint of a job. */
export interface JobCheckpoint {
  /** Steps that were done. */
  readonly step: number;
  /** ISO 8601. */
  readonly savedAt: string;
  /** Of all files together. */
  readonly bytes: number;
  /** What it consists of. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** What may be asked of a job's events. */
export interface EventQuery {
  /** Only events with a larger id. */
  readonly after?: number;
  /** At most this many. */
  readonly limit?: number;
  /** Only these kinds. */
  readonly kinds?: readonly string[];
}

/** What may be asked of the list of jobs. */
export interface JobQuery {
  /** Only jobs that were made before the one of this id. */
  readonly after?: string;
  /** At most this many. */
  readonly limit?: number;
  /** Only jobs in these states. */
  readonly states?: readonly JobState[];
}

/** Figures of one training step. Those that are no finite number are null: gradients that overflowed. */
export interface StepMetrics {
  /** Counted from 1. */
  readonly step: number;
  /** Mean cross-entropy of the batch, in nats. */
  readonly loss: number | null;
  /** Of the step. */
  readonly learningRate: number | null;
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number | null;
  /** Tokens trained on per second. */
  readonly tokensPerSecond: number | null;
  /** Time of the step. */
  readonly ms: number | null;
  /** Where the precision needs one. */
  readonly lossScale?: number;
  /** Of the validation that followed the step. */
  readonly validationLoss?: number;
}

/** Training jobs, one at a time on the device. Methods on a job throw `ApiError` 404 when there is none and 409 when its state does not allow them. */
export interface TrainingService {
  /** Queues a job. `config` has been checked. */
  create(config: Readonly<Record<string, unknown>>): Promise<Job>;
  /** Newest first. */
  list(query?: JobQuery): readonly Job[];
  /** How many jobs there are in each state. */
  counts(): Readonly<Record<JobState, number>>;
  /** The job of that id. */
  get(id: string): Job;
  /** Saves a checkpoint and gives the device up, until {@link resume}. Resolves when that is done. */
  pause(id: string): Promise<Job>;
  /** Queues a paused job again. */
  resume(id: string): Promise<Job>;
  /** Ends it; its checkpoints stay. */
  cancel(id: string): Promise<Job>;
  /** Has the running job save now; resolves when it has. */
  checkpoint(id: string): Promise<JobCheckpoint>;
  /** Has the running job continue a prompt with the weights that it has now. */
  sample(id: string, request: { readonly prompt: string; readonly maxTokens: number }): Promise<string>;
  /** Past events, oldest first. */
  events(id: string, query: EventQuery): readonly JobEvent[];
  /** Past events after `after`, then live ones until the job has ended or the signal aborts; none is missed or repeated. */
  follow(id: string, after: number, signal: AbortSignal): AsyncIterable<JobEvent>;
  /** Figures of the steps after `after`, oldest first. A step that was computed again has its newest figures. */
  metrics(
    id: string,
    query: { readonly after?: number; readonly limit?: number },
  ): readonly StepMetrics[];
  /** Checkpoints on the disk, newest first. */
  checkpoints(id: string): Promise<readonly JobCheckpoint[]>;
  /** Path of a checkpoint's file, which is known to lie inside the job's directory. */
  checkpointFile(id: string, step: number, name: string): Promise<string>;
}

/** A compiled program, in short. */
export type ProgramSummary = Omit<ReportSummary, "compiledAt">;

/** The compiler's programs, every stage of them. */
export interface ProgramService {
  /** Every program that is known. */
  list(): Promise<readonly ProgramSummary[]>;
  /** A program with its stages, as gzip'd JSON (`ProgramReport`); undefined when there is none. */
  get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Everything that routes may use. */
export interface Services {
  /** Text. */
  readonly generation: GenerationService;
  /** Jobs. */
  readonly training: TrainingService;
  /** Programs. */
  readonly programs: ProgramService;
}
