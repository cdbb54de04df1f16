/**
 * What the API answers, as pages see it: JSON. A test holds these against the server's own types.
 *
 * @module
 */

/** Where a training job stands. */
export type JobState = "queued" | "running" | "paused" | "finished" | "failed" | "cancelled";

/** A training job. */
export interface Job {
  readonly id: string;
  readonly state: JobState;
  /** Place in the queue, counted from 1. */
  readonly position?: number;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** What was asked for. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What it became. */
  readonly plan?: Readonly<Record<string, unknown>>;
  readonly step: number;
  readonly steps?: number;
  readonly loss?: number;
  readonly validationLoss?: number;
  readonly tokensPerSecond?: number;
  readonly error?: string;
}

/** Something that happened to a job. */
export interface JobEvent {
  readonly id: number;
  readonly time: string;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Figures of a step; null where one is not finite. */
export interface StepMetrics {
  readonly step: number;
  readonly loss: number | null;
  readonly learningRate: number | null;
  readonly gradNorm: number | null;
  readonly tokensPerSecond: number | null;
  readonly ms: number | null;
  readonly validationLoss?: number;
}

/** A checkpoint of a job. */
export interface JobCheckpoint {
  readonly step: number;
  readonly savedAt: string;
  readonly bytes: number;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** A line of a job's log. */
export interface LogLine {
  readonly id: number;
  readonly time: string;
  readonly text: string;
}

/** A compiled program, in short. */
export interface ProgramSummary {
  readonly hash: string;
  readonly name: string;
  readonly kernels: number;
  readonly dispatches: number;
  readonly peakBytes: number;
  readonly compileMs: number;
  readonly usedBy: readonly string[];
}

/** A token and how likely it was. */
export interface TokenLogprob {
  readonly token: number;
  readonly text: string;
  readonly logprob?: number;
}

/** An event `token` of a stream of `POST /generate`; the texts of a choice join to its text. */
export interface TokenEvent {
  /** The choice. */
  readonly index: number;
  /** May be empty: characters are sent when they are whole. */
  readonly text: string;
  /** Absent for text that has no token of its own. */
  readonly token?: number;
  /** With log-probabilities only, and not for the first token of a prompt. */
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
}

/** A range of a buffer, in bytes. */
export interface ReportedRange {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

/** A kernel of a program. */
export interface ReportedKernel {
  readonly name: string;
  readonly ir: string;
  readonly wgsl: string;
  readonly workgroupSize: readonly number[];
}

/** A kernel launch. */
export interface ReportedDispatch {
  /** Place in `kernels`. */
  readonly kernel: number;
  /** Id of a group. */
  readonly group: number;
  readonly bytes: number;
  readonly flops: number;
  readonly workgroups: readonly number[];
  readonly reads: readonly ReportedRange[];
  readonly writes: readonly ReportedRange[];
  /** Time on the device, where it was measured. */
  readonly ms?: number;
}

/** Ops that share a kernel. */
export interface ReportedGroup {
  readonly id: number;
  readonly kind: string;
  readonly title: string;
  /** Modules that its ops belong to. */
  readonly scopes: readonly string[];
  readonly phase: string;
  /** Ops as text. */
  readonly nodes: readonly string[];
  readonly reasons: readonly string[];
}

/** A program with every stage of its compilation. */
export interface ProgramReport {
  readonly hash: string;
  readonly name: string;
  readonly peakBytes?: number;
  /** Text by stage, in the order of the pipeline. */
  readonly stages: Readonly<Record<string, string>>;
  readonly kernels: readonly ReportedKernel[];
  readonly dispatches: readonly ReportedDispatch[];
  readonly groups: readonly ReportedGroup[];
}
