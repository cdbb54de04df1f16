/**
 * What the trainer's Worker and its client say to each other: plain data, so that a terminal, a file of JSON lines and
 * a server can all drive a run and watch it. Times are in milliseconds, losses in nats.
 *
 * @module
 */
import type { HostSpan } from "../runtime/mod.ts";
import type { MemoryReport } from "./memory.ts";
import type { ProfileSummary } from "./profile_plan.ts";
import type { DiskPlan } from "./run/disk_plan.ts";
import type { RunPlan, TrainRequest } from "./run_options.ts";

/** To the Worker. */
export type TrainerCommand =
  | {
    readonly kind: "start";
    readonly request: TrainRequest;
    /** Where device threads take turns; left out: the run has the device to itself. */
    readonly turns?: SharedArrayBuffer;
  }
  /** Something that the sender's thread did, for the run's profile. */
  | { readonly kind: "span"; readonly span: HostSpan }
  /** Finish the step, save unless told otherwise, end. */
  | { readonly kind: "stop"; readonly save?: boolean }
  | TrainerAsk;

/** Something to do after the step that runs now. Each is answered by a `reply` of the same id, unless the run ends first. */
export type TrainerAsk =
  /** Save a checkpoint; answered when it is on the disk. */
  | { readonly kind: "save"; readonly id: number }
  /** Continue a prompt with the weights as they are. */
  | {
    readonly kind: "sample";
    readonly id: number;
    readonly prompt: string;
    readonly maxTokens: number;
  };

/** Answer to a {@link TrainerAsk}. */
export interface ReplyEvent {
  /** Tells the events apart. */
  readonly kind: "reply";
  /** That of the question. */
  readonly id: number;
  /** Steps that were done when it was carried out. */
  readonly step: number;
  /** Prompt and continuation, for `sample`. */
  readonly text?: string;
  /** Why it was not done; the user can put it right. */
  readonly problem?: string;
}

/** Ends of a run that a program may want to act on: on another device it could go on; there is nothing left to do. */
export type FailureReason = "device-lost" | "already-finished";

/** Why a run ended that did not fail: all steps are done, there was no better loss for long, or it was told to. */
export type EndReason = "finished" | "early-stop" | "stopped";

/** One optimizer step. */
export interface StepEvent {
  /** Tells the events apart. */
  readonly kind: "step";
  /** Counted from 1: the number of steps that are done. */
  readonly step: number;
  /** Mean cross-entropy of the step's batch, in nats. */
  readonly loss: number;
  /** Learning rate of the step. */
  readonly learningRate: number;
  /** Global norm of the gradients before clipping; not finite when they overflowed, and the step does not count. */
  readonly gradNorm: number;
  /** Scale of the loss after the step, where the precision needs one. */
  readonly lossScale?: number;
  /** Tokens trained on per second, since the last drain of the ring. */
  readonly tokensPerSecond: number;
  /** Mean time of a step since the last drain of the ring. */
  readonly ms: number;
}

/** What will run, before it runs. */
export interface PlanEvent {
  /** Tells the events apart. */
  readonly kind: "plan";
  /** Directory of the run. */
  readonly out: string;
  /** Every number of the run. */
  readonly plan: RunPlan;
  /** What it runs on; `software`: the processor. */
  readonly adapter: { readonly name: string; readonly software: boolean };
  /** Parameters of the model. */
  readonly parameters: number;
  /** Tokens to train on. */
  readonly trainTokens: number;
  /** Tokens to validate on. */
  readonly validationTokens: number;
  /** Steps that are done already, when a run goes on. */
  readonly resumedFrom: number;
  /** What it will write. */
  readonly disk: DiskPlan;
  /** The curve that stands beside its own. */
  readonly reference?: { readonly name: string; readonly source: string };
}

/** A validation. */
export interface ValidationEvent {
  /** Tells the events apart. */
  readonly kind: "validation";
  /** Steps that were done. */
  readonly step: number;
  /** Mean cross-entropy of some validation batches, in nats. */
  readonly loss: number;
  /** Tokens that the run has trained on. */
  readonly tokens: number;
  /** What the reference curve had after as many tokens, where it was measured. */
  readonly reference?: number;
}

/** A benchmark's result. */
export interface EvaluationEvent {
  /** Tells the events apart. */
  readonly kind: "evaluation";
  /** Steps that were done. */
  readonly step: number;
  /** The benchmark. */
  readonly name: "hellaswag";
  /** Examples whose right ending has the least summed loss. */
  readonly correct: number;
  /** Examples whose right ending has the least mean loss. */
  readonly correctNorm: number;
  /** Examples. */
  readonly count: number;
  /** Share of `correct`. */
  readonly acc: number;
  /** Share of `correctNorm`. */
  readonly accNorm: number;
}

/** The run has fallen behind its reference curve. */
export interface AlarmEvent {
  /** Tells the events apart. */
  readonly kind: "alarm";
  /** Steps that were done. */
  readonly step: number;
  /** One line for people. */
  readonly text: string;
  /** Tokens that the run has trained on. */
  readonly tokens: number;
  /** Validation loss, in nats. */
  readonly loss: number;
  /** What the reference curve had after as many tokens. */
  readonly reference: number;
}

/** From the Worker. */
export type TrainerEvent =
  | PlanEvent
  | {
    /** The training programs are ready. */
    readonly kind: "compiled";
    readonly ms: number;
    readonly kernels: number;
    /** Kernel launches of one optimizer step. */
    readonly dispatches: number;
    /** Planned device memory. */
    readonly peakBytes: number;
    /** What became of the budget of memory, if there is one. */
    readonly memory?: MemoryReport;
  }
  | StepEvent
  | ValidationEvent
  | EvaluationEvent
  | AlarmEvent
  | { readonly kind: "sample"; readonly step: number; readonly text: string }
  | {
    readonly kind: "checkpoint";
    readonly step: number;
    readonly path: string;
    /** Steps whose checkpoints were removed to make room. */
    readonly removed: readonly number[];
  }
  /** A light snapshot has been written. */
  | { readonly kind: "snapshot"; readonly step: number; readonly path: string }
  /** The profile of some steps has been written. */
  | { readonly kind: "profile"; readonly summary: ProfileSummary }
  /** Something that a user should know and the run survives. */
  | { readonly kind: "notice"; readonly text: string }
  | ReplyEvent
  | { readonly kind: "end"; readonly reason: EndReason; readonly step: number }
  /** The run is over; `badInput` when the user can put it right. */
  | {
    readonly kind: "failure";
    readonly message: string;
    readonly badInput: boolean;
    readonly reason?: FailureReason;
  };
