/**
 * A job while it has the device: a trainer in its Worker, questions to it, and another trainer when the device is lost.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import { listCheckpoints } from "../../model/checkpoint.ts";
import type { TrainerAsk, TrainerEvent } from "../../model/messages.ts";
import type { TrainRequest } from "../../model/run_options.ts";
import { type FinalEvent, TrainerClient } from "../../model/trainer_client.ts";
import { ApiError } from "../http/error.ts";
import type { ReportedEvent } from "./trainer_events.ts";

/** What a run needs of a trainer: that of `TrainerClient`. */
export interface TrainerHandle {
  readonly finished: Promise<FinalEvent>;
  start(request: TrainRequest, turns?: SharedArrayBuffer): void;
  stop(save?: boolean): void;
  ask(question: TrainerAsk): void;
  terminate(): void;
}

/** Makes a trainer that reports to `onEvent`. */
export type MakeTrainer = (onEvent: (event: TrainerEvent) => void) => TrainerHandle;

/** How a job's time on the device ended. */
export type Outcome =
  | { readonly kind: "finished" | "stopped" }
  | { readonly kind: "failed"; readonly message: string };

/** How to run a job. */
export interface JobRunOptions {
  /** Without `resume`: whether there is something to go on from is found out each time. */
  readonly request: TrainRequest;
  readonly turns?: SharedArrayBuffer;
  readonly onEvent: (event: ReportedEvent) => void;
  /** Told that the device was lost and which attempt to go on follows. */
  readonly onLost: (message: string, attempt: number) => void;
  readonly makeTrainer?: MakeTrainer;
}

/** Attempts to go on after a lost device, in a row and without a step that had not been done before. */
export const MAX_ATTEMPTS = 3;
/** Milliseconds before each attempt: together with the start of a Worker well within ten seconds. */
const ATTEMPT_DELAYS = [0, 1000, 3000];
/** How long a trainer may take to end without saving before its Worker is ended, in milliseconds. */
const DISCARD_MS = 5000;
/** Questions that may wait for a trainer: each takes time from the training. */
const MAX_ASKED = 8;

/** One job on the device. */
export class JobRun {
  readonly #ended = Promise.withResolvers<void>();
  readonly #asked = new Map<number, PromiseWithResolvers<{ step: number; text?: string }>>();
  #trainer?: TrainerHandle;
  #lastAsk = 0;
  #stopping = false;
  #step = 0;
  /** How it ended. Never rejects. */
  readonly over: Promise<Outcome>;

  /** Starts at once. */
  constructor(private readonly options: JobRunOptions) {
    this.over = this.#run().catch((problem): Outcome => ({
      kind: "failed",
      message: String(problem?.message ?? problem),
    }));
  }

  /** Saves after the step that runs now, and ends. */
  stop(): void {
    this.#stopping = true;
    this.#trainer?.stop(true);
  }

  /** Ends after the step that runs now, or in the middle of it if it is long; nothing is saved. */
  discard(): void {
    this.#stopping = true;
    this.#trainer?.stop(false);
    const timer = setTimeout(() => this.#ended.resolve(), DISCARD_MS);
    this.over.then(() => clearTimeout(timer));
  }

  /** Ends it now, in the middle of whatever it does. */
  kill(): void {
    this.#stopping = true;
    this.#ended.resolve();
  }

  /**
   * Saves after the step that runs now, and returns the steps that are saved.
   *
   * @throws {ApiError} 409 when the run ends before, 503 when the device is lost.
   */
  async save(): Promise<number> {
    return (await this.#ask((id) => ({ kind: "save", id }))).step;
  }

  /**
   * Continues a prompt after the step that runs now.
   *
   * @throws {ApiError} 400 when the prompt is too long, otherwise as {@link save}.
   */
  async sample(prompt: string, maxTokens: number): Promise<{ step: number; text: string }> {
    const { step, text = "" } = await this.#ask((id) => ({ kind: "sample", id, prompt, maxTokens }));
    return { step, text };
  }

  async #run(): Promise<Outcome> {
    const { request, onLost } = this.options;
    let attempt = 0;
    let furthest = 0;
    for (;;) {
      const resume = (await listCheckpoints(request.out)).length > 0;
      const hasProfile = await isThere(request.profile);
      if (this.#stopping) return { kind: "stopped" };
      const last = await this.#runTrainer({ ...request, resume, ...hasProfile && { profile: undefined } });
      if (last === undefined) return { kind: "stopped" };
      if (last.kind === "end") return { kind: last.reason === "stopped" ? "stopped" : "finished" };
      if (last.reason === "already-finished") return { kind: "finished" };
      if (this.#step > furthest) attempt = 0;
      furthest = Math.max(furthest, this.#step);
      // Soon after a device was lost there may be none at all for a moment.
      const isLost = last.reason === "device-lost" || (attempt > 0 && !last.badInput);
      if (!isLost) return { kind: "failed", message: last.message };
      if (this.#stopping) return { kind: "stopped" };
      if (attempt === MAX_ATTEMPTS) {
        const message = `${last.message}; the device was lost ${attempt + 1} times in a row without progress`;
        return { kind: "failed", message };
      }
      attempt++;
      onLost(last.message, attempt);
      await Promise.race([delay(ATTEMPT_DELAYS[attempt - 1]), this.#ended.promise]);
    }
  }

  /** Undefined when it was ended from outside. */
  async #runTrainer(request: TrainRequest): Promise<FinalEvent | undefined> {
    const { makeTrainer = (onEvent) => new TrainerClient(onEvent), turns } = this.options;
    const trainer = this.#trainer = makeTrainer((event) => this.#receive(event));
    trainer.start(request, turns);
    const last = await Promise.race([trainer.finished, this.#ended.promise.then(() => undefined)]);
    this.#trainer = undefined;
    trainer.terminate();
    const isLost = last?.kind === "failure" && last.reason === "device-lost";
    const refusal = isLost
      ? new ApiError(503, "device_lost", "The device was lost; the job goes on soon, try again then.", {
        retryAfter: 5,
      })
      : new ApiError(409, "job_not_running", "The job's run ended before that could be done.");
    for (const { reject } of this.#asked.values()) reject(refusal);
    this.#asked.clear();
    return last;
  }

  #receive(event: TrainerEvent): void {
    if (event.kind === "reply") {
      const { id, problem } = event;
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      if (problem === undefined) asked?.resolve(event);
      else asked?.reject(new ApiError(400, "invalid_value", problem, { param: "prompt" }));
      return;
    }
    if (event.kind === "step") this.#step = event.step;
    this.options.onEvent(event);
  }

  #ask(question: (id: number) => TrainerAsk): Promise<{ step: number; text?: string }> {
    if (!this.#trainer || this.#stopping) {
      throw new ApiError(
        409,
        "job_not_running",
        "The job is about to start or to end; try again in a moment.",
      );
    }
    if (this.#asked.size >= MAX_ASKED) {
      const message =
        `The job has ${MAX_ASKED} checkpoints and samples to make already; try again in a moment.`;
      throw new ApiError(429, "too_many_questions", message, { retryAfter: 5 });
    }
    const id = ++this.#lastAsk;
    const asked = Promise.withResolvers<{ step: number; text?: string }>();
    this.#asked.set(id, asked);
    this.#trainer.ask(question(id));
    return asked.promise;
  }
}

async function isThere(path: string | undefined): Promise<boolean> {
  if (path === undefined) return false;
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
