/**
 * Trainers that do what a test says, when it says so: jobs without a GPU.
 *
 * @module
 */
import { join } from "@std/path";
import { listCheckpoints, stepFolder } from "../../../model/checkpoint.ts";
import type { TrainerAsk, TrainerEvent } from "../../../model/messages.ts";
import { planRun, type RunPlan, type TrainRequest } from "../../../model/run_options.ts";
import type { FinalEvent } from "../../../model/trainer_client.ts";
import type { MakeTrainer, TrainerHandle } from "../../../server/training/job_run.ts";

/** One trainer. */
export class ScriptedTrainer implements TrainerHandle {
  readonly #finished = Promise.withResolvers<FinalEvent>();
  readonly #opened = Promise.withResolvers<void>();
  #plan?: RunPlan;
  request?: TrainRequest;
  turns?: SharedArrayBuffer;
  step = 0;
  isTerminated = false;
  readonly asked: TrainerAsk[] = [];
  /** What the trainer does when it is told to stop; a test may have it take its time. */
  onStop = (save: boolean): void => {
    if (save) this.save();
    this.#emit({ kind: "end", reason: "stopped", step: this.step });
  };

  constructor(private readonly onEvent: (event: TrainerEvent) => void) {}

  get finished(): Promise<FinalEvent> {
    return this.#finished.promise;
  }

  /** Resolves when its plan has been told. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  start(request: TrainRequest, turns?: SharedArrayBuffer): void {
    this.request = request;
    this.turns = turns;
    this.#open(request);
  }

  stop(save = true): void {
    this.onStop(save);
  }

  ask(question: TrainerAsk): void {
    this.asked.push(question);
    if (question.kind === "save") this.save();
    const text = question.kind === "sample" ? { text: `${question.prompt}…` } : {};
    this.#emit({ kind: "reply", id: question.id, step: this.step, ...text });
  }

  terminate(): void {
    this.isTerminated = true;
  }

  /** Does some steps. The loss of step n is 10 / n, so what was lost and done again is the same. */
  advance(count: number): void {
    for (let i = 0; i < count; i++) {
      const step = ++this.step;
      const values = { loss: 10 / step, learningRate: 1e-3, gradNorm: step % 7 === 0 ? Infinity : 1 };
      this.#emit({ kind: "step", step, ...values, tokensPerSecond: 1000, ms: 1 });
    }
  }

  /** Validates. */
  validate(): void {
    this.#emit({ kind: "validation", step: this.step, loss: 11 / this.step, tokens: 16 * this.step });
  }

  /** Writes a folder that looks like a checkpoint. */
  save(): void {
    const path = join(this.request!.out, stepFolder(this.step));
    Deno.mkdirSync(path, { recursive: true });
    Deno.writeTextFileSync(join(path, "model.safetensors"), `weights of step ${this.step}`);
    Deno.writeTextFileSync(join(path, "trainer.json"), "{}");
    this.#emit({ kind: "checkpoint", step: this.step, path, removed: [] });
  }

  /** Saves and ends, as at the last step. */
  finish(): void {
    this.save();
    this.#emit({ kind: "end", reason: "finished", step: this.step });
  }

  /** Fails. */
  fail(message: string, reason?: "device-lost" | "already-finished"): void {
    this.#emit({ kind: "failure", message, badInput: false, ...reason && { reason } });
  }

  async #open(request: TrainRequest): Promise<void> {
    const [newest] = request.resume ? await listCheckpoints(request.out) : [];
    this.step = newest ? Number(/\d+$/.exec(newest)) : 0;
    this.#plan = planRun(request, true);
    this.#emit({
      kind: "plan",
      out: request.out,
      plan: this.#plan,
      adapter: { name: "scripted", software: true },
      parameters: 1000,
      trainTokens: 900,
      validationTokens: 100,
      resumedFrom: this.step,
      disk: { checkpointBytes: 100, checkpoints: 4, totalBytes: 400 },
    });
    this.#opened.resolve();
  }

  #emit(event: TrainerEvent): void {
    if (this.isTerminated) return;
    this.onEvent(event);
    if (event.kind === "end" || event.kind === "failure") this.#finished.resolve(event);
  }
}

/** Makes trainers, and hands them to the test in the order in which they start. */
export class ScriptedTrainers {
  readonly made: ScriptedTrainer[] = [];
  #taken = 0;
  #wake = Promise.withResolvers<void>();

  readonly make: MakeTrainer = (onEvent) => {
    const trainer = new ScriptedTrainer(onEvent);
    this.made.push(trainer);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    return trainer;
  };

  /** The next trainer that has started, once it has told its plan. */
  async next(): Promise<ScriptedTrainer> {
    while (this.made.length === this.#taken) await this.#wake.promise;
    const trainer = this.made[this.#taken++];
    await trainer.opened;
    return trainer;
  }
}
