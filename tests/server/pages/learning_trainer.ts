/**
 * A trainer without a device that behaves as one that learns: a step every few milliseconds, a loss that falls, and every
 * kind of event that pages show.
 *
 * @module
 */
import { join } from "@std/path";
import { stepFolder } from "../../../model/checkpoint.ts";
import type { TrainerAsk, TrainerEvent } from "../../../model/messages.ts";
import { planRun, type RunPlan, type TrainRequest } from "../../../model/run_options.ts";
import type { FinalEvent } from "../../../model/trainer_client.ts";
import type { TrainerHandle } from "../../../server/training/job_run.ts";

/** Milliseconds of a step. */
const STEP_MS = 15;

/** What it says when it is asked. */
const TEXT = "the white whale swam before him as the monomaniac incarnation of all those malicious agencies";

/** One trainer. */
export class LearningTrainer implements TrainerHandle {
  readonly #finished = Promise.withResolvers<FinalEvent>();
  #timer?: ReturnType<typeof setInterval>;
  #plan!: RunPlan;
  #out = "";
  #step = 0;

  /** @param mayGoOn Asked before each step, with the number of those that are done. */
  constructor(
    private readonly onEvent: (event: TrainerEvent) => void,
    private readonly mayGoOn: (done: number) => boolean = () => true,
  ) {}

  get finished(): Promise<FinalEvent> {
    return this.#finished.promise;
  }

  start(request: TrainRequest): void {
    this.#out = request.out;
    this.#plan = planRun(request, true);
    this.#step = request.resume ? this.#newestCheckpoint() : 0;
    this.#emit({
      kind: "plan",
      out: request.out,
      plan: this.#plan,
      adapter: { name: "scripted adapter", software: true },
      parameters: 841_984,
      trainTokens: 1_100_000,
      validationTokens: 60_000,
      resumedFrom: this.#step,
      disk: { checkpointBytes: 10_100_000, checkpoints: 4, totalBytes: 40_400_000 },
    });
    this.#emit({ kind: "compiled", ms: 412, kernels: 61, dispatches: 118, peakBytes: 47_500_000 });
    this.#timer = setInterval(() => this.#advance(), STEP_MS);
  }

  stop(save = true): void {
    clearInterval(this.#timer);
    if (save) this.#save();
    this.#end({ kind: "end", reason: "stopped", step: this.#step });
  }

  ask({ id, ...question }: TrainerAsk): void {
    if (question.kind === "save") this.#save();
    const text = question.kind === "sample" ? { text: `${question.prompt} ${TEXT}` } : {};
    this.#emit({ kind: "reply", id, step: this.#step, ...text });
  }

  terminate(): void {
    clearInterval(this.#timer);
  }

  #advance(): void {
    if (!this.mayGoOn(this.#step)) return;
    const step = ++this.#step;
    const { steps, evalEvery, saveEvery, sampleEvery, learningRate } = this.#plan;
    const loss = 1.4 + 4.2 * Math.exp(-step / 60) + 0.12 * Math.sin(step * 12.9898);
    this.#emit({
      kind: "step",
      step,
      loss,
      learningRate: learningRate * Math.min(1, step / 20) * (0.1 + 0.9 * (1 - step / steps)),
      gradNorm: step % 57 === 0
        ? Infinity
        : 0.6 + 2 * Math.exp(-step / 40) + 0.2 * Math.abs(Math.sin(step * 3.7)),
      tokensPerSecond: 14_200 + 900 * Math.sin(step / 9),
      ms: STEP_MS,
    });
    if (evalEvery > 0 && step % evalEvery === 0) {
      this.#emit({ kind: "validation", step, loss: loss + 0.15, tokens: 1024 * step });
    }
    if (sampleEvery > 0 && step % sampleEvery === 0) {
      this.#emit({ kind: "sample", step, text: `Call me Ishmael. Some years ago\n${TEXT}` });
    }
    if (saveEvery > 0 && step % saveEvery === 0) this.#save();
    if (step === 12) this.#emit({ kind: "profile", summary: PROFILE });
    if (step < steps) return;
    clearInterval(this.#timer);
    this.#save();
    this.#end({ kind: "end", reason: "finished", step });
  }

  #save(): void {
    const path = join(this.#out, stepFolder(this.#step));
    Deno.mkdirSync(path, { recursive: true });
    Deno.writeTextFileSync(join(path, "model.safetensors"), `weights of step ${this.#step}`);
    Deno.writeTextFileSync(join(path, "trainer.json"), "{}");
    this.#emit({ kind: "checkpoint", step: this.#step, path, removed: [] });
  }

  #newestCheckpoint(): number {
    const steps = Array.from(
      Deno.readDirSync(this.#out),
      ({ name }) => Number(/^step_(\d+)$/.exec(name)?.[1] ?? 0),
    );
    return Math.max(0, ...steps);
  }

  #end(event: FinalEvent): void {
    this.#emit(event);
    this.#finished.resolve(event);
  }

  #emit(event: TrainerEvent): void {
    this.onEvent(event);
  }
}

const PROFILE = {
  path: "profile.json",
  queue: { first: 6, end: 9 },
  kernels: { first: 9, end: 11 },
  use: { windowMs: 128, busyShare: 0.94 },
  launchMs: {},
  kernelsByTime: [
    { name: "linearCrossEntropy_41", share: 0.31 },
    { name: "matmul_backward_17", share: 0.22 },
    { name: "attention_backward_9", share: 0.11 },
  ],
};
