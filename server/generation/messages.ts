/**
 * What the main thread and the Worker of generation say to each other.
 *
 * @module
 */
import type { GenerationEvent, GenerationRequest, Precision } from "../../model/mod.ts";

/** How the Worker serves. */
export interface HostOptions {
  /** Sequences of one model that are continued at once. */
  readonly maxSlots: number;
  /** Sequences of one model that may wait. */
  readonly maxWaiting: number;
  /** Tokens of a prompt. */
  readonly maxPromptTokens: number;
  /** Models, or versions of one, that may be on the device at once. */
  readonly maxModels: number;
  /** Memory that the caches of one model may take, in bytes. */
  readonly cacheBytes: number;
  /** What weights are kept in on the device. */
  readonly dtype?: Precision;
  /** Where turns on the GPU are taken with training; see `runtime/turns.ts`. */
  readonly turns?: SharedArrayBuffer;
  /** Directory that compiled programs are reported to. */
  readonly programs?: string;
}

/** To the Worker. */
export type HostCommand =
  | { readonly kind: "open"; readonly options: HostOptions }
  | {
    readonly kind: "generate";
    /** Chosen by the sender; events carry it. */
    readonly id: number;
    /** Name of the model. */
    readonly model: string;
    /** Its newest checkpoint. */
    readonly path: string;
    readonly request: GenerationRequest;
  }
  /** Bring a model to the device. */
  | { readonly kind: "preload"; readonly model: string; readonly path: string }
  | { readonly kind: "cancel"; readonly id: number }
  /** Finish what is under way, refuse what comes. */
  | { readonly kind: "drain" };

/** How busy the Worker is, over all models. */
export interface HostLoad {
  readonly running: number;
  readonly slots: number;
  readonly waiting: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly deviceBytes: number;
  /** Checkpoints that are on the device. */
  readonly loaded: readonly string[];
}

/** From the Worker. */
export type HostEvent =
  | { readonly kind: "ready"; readonly adapter: string; readonly software: boolean }
  | { readonly kind: "events"; readonly events: readonly (readonly [id: number, event: GenerationEvent])[] }
  | { readonly kind: "load"; readonly load: HostLoad }
  /** The device cannot be used any more, or never could: the Worker has to be replaced. */
  | { readonly kind: "lost"; readonly message: string };
