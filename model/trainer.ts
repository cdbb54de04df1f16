/**
 * A training run from request to last checkpoint: takes steps until it is done or told to stop, and between them does what is due.
 * It runs in a Worker and speaks only through events, so whoever listens (a terminal, a file of JSON lines, a server) drives the
 * same trainer.
 *
 * @module
 */
import { GpuTurns, type HostSpan, Readback, TURN_PARTIES } from "../runtime/mod.ts";
import { explainFailure } from "./errors.ts";
import type { EndReason, TrainerAsk, TrainerEvent } from "./messages.ts";
import { runPipeline, type Submissions } from "./pipeline.ts";
import { badTensorText, findBadTensor } from "./run/diagnose.ts";
import { checkFinite, DivergedError } from "./run/finite.ts";
import { type OpenRun, openRun } from "./run/open.ts";
import { doAtStart, doDue, nextDue } from "./run/periodic.ts";
import { tokensPerStep, type TrainRequest } from "./run_options.ts";
import type { RunProfile } from "./run_profile.ts";
import { MAX_PENDING } from "./session.ts";

/** Time between two looks at the losses, in milliseconds: how long an interrupt may have to wait, and a progress bar. */
const DRAIN_MS = 400;

/** How far a run is. */
interface Progress {
  /** Steps that have been submitted. */
  done: number;
  /** Of the last steps whose figures have been read. */
  msPerStep: number;
}

/** One training run. */
export class Trainer {
  #stopReason?: Exclude<EndReason, "finished">;
  #savesAtStop = true;
  #asked: TrainerAsk[] = [];
  #run?: OpenRun;

  /** @param emit Takes the events of the run, in order; the last one is `end` or `failure`. */
  constructor(private readonly emit: (event: TrainerEvent) => void) {}

  /** Lets the run finish its step, save unless `save` is false, and end. */
  stop({ save = true }: { readonly save?: boolean } = {}): void {
    this.#stopReason = "stopped";
    this.#savesAtStop = save;
  }

  /** Has something done after the step that runs now; a `reply` event tells the result. */
  ask(question: TrainerAsk): void {
    this.#asked.push(question);
  }

  /** Takes down what another thread did, when the run is being profiled. */
  noteSpan(span: HostSpan): void {
    this.#run?.profile?.add(span);
  }

  /**
   * Runs to the end. Never rejects: what goes wrong becomes a `failure` event.
   *
   * @param turns Where device threads take turns; left out: the run has the device to itself.
   */
  async run(request: TrainRequest, turns?: SharedArrayBuffer): Promise<void> {
    this.emit(await this.#runToEnd(request, turns && new GpuTurns(turns, TURN_PARTIES.training)));
  }

  /** Everything is closed when the last event is there. */
  async #runToEnd(request: TrainRequest, turns?: GpuTurns): Promise<TrainerEvent> {
    await using resources = new AsyncDisposableStack();
    let last: TrainerEvent;
    try {
      const onStale = () => void (this.#stopReason ??= "early-stop");
      const run = this.#run = await openRun(request, { resources, emit: this.emit, onStale });
      last = await this.#train(run, turns);
      await run.checkpoints.settled();
    } catch (problem) {
      last = await this.#failure(problem);
    }
    this.#run?.recorder?.note(last);
    return last;
  }

  async #failure(problem: unknown): Promise<TrainerEvent> {
    const { checkpoints } = this.#run ?? {};
    await checkpoints?.settled().catch(() => {}); // one that is being written may be the one to go on from
    const { message, ...facts } = explainFailure(problem);
    const cause = problem instanceof DivergedError ? await this.#cause(problem) : "";
    const remains = checkpoints?.path
      ? `; the checkpoint ${checkpoints.path} is good: go on with --resume`
      : "";
    return { kind: "failure", message: message + cause + remains, ...facts };
  }

  /** What made a step's figures no numbers, as the rest of a sentence. */
  async #cause({ figures: { step } }: DivergedError): Promise<string> {
    const { session, data, plan: { accumulation } } = this.#run!;
    const batches = Array.from({ length: accumulation }, (_, i) => data.batchAt(step * accumulation + i));
    try {
      const found = await findBadTensor(session, batches);
      return `; ${
        found ? badTensorText(found) : "it does not happen again with that step's batch"
      }; a lower --lr helps`;
    } catch (problem) {
      return `; what came first could not be found out (${explainFailure(problem).message})`;
    }
  }

  async #train(run: OpenRun, turns?: GpuTurns): Promise<TrainerEvent> {
    const { start, plan: { steps }, session: { device } } = run;
    const progress: Progress = { done: start, msPerStep: Infinity };
    const shared = turns && { turns, idle: () => device.idle() };
    await runPipeline(this.#submissions(run, progress), { shared });
    const { done } = progress;
    return { kind: "end", reason: done === steps ? "finished" : this.#stopReason!, step: done };
  }

  /** What the device has to do, in order; keeps account of it in `progress`. */
  *#submissions(run: OpenRun, progress: Progress): Submissions {
    const { plan: { steps }, tasks, checkpoints, samples, profile } = run;
    let chunk = 1;
    if (progress.done === 0) yield* doAtStart(tasks);
    while (progress.done < steps && !this.#stopReason) {
      const { done: first } = progress;
      const due = nextDue(tasks, first);
      yield* this.#steps(
        run,
        progress,
        Math.min(steps, first + chunk, due, profile?.boundaryAfter(first) ?? Infinity),
      );
      // The first chunk also pays for what drivers do at the first launch, so growth is bounded.
      chunk = Math.min(
        MAX_PENDING,
        Math.max(1, Math.min(2 * chunk, Math.round(DRAIN_MS / progress.msPerStep))),
      );
      const { done } = progress;
      yield* doDue(tasks, done, steps);
      for (const question of this.#asked.splice(0)) {
        yield question.kind === "save" ? checkpoints.answer(done, question) : samples.answer(done, question);
      }
      if (profile?.isDue(done)) yield this.#writeProfile(run, profile);
    }
    if (profile?.isPending) yield this.#writeProfile(run, profile);
    const { done } = progress;
    if (checkpoints.step !== done && (this.#savesAtStop || done === steps)) yield checkpoints.save(done);
  }

  get #isInterrupted(): boolean {
    return this.#stopReason !== undefined || this.#asked.length > 0;
  }

  /** Steps up to `end`, fewer when something else is asked for, and their figures. */
  *#steps(
    { plan, session, data, profile, checkpoints, emit }: OpenRun,
    progress: Progress,
    end: number,
  ): Submissions {
    const { accumulation } = plan;
    const { done: first } = progress;
    const started = performance.now();
    profile?.enterSteps(first);
    for (let step = first; step === first || step < end && !this.#isInterrupted; step++) {
      profile?.enterStep(step);
      const prepared = profile?.begin("prepare batches");
      const micro = Array.from({ length: accumulation }, (_, i) => data.batchAt(step * accumulation + i));
      prepared?.();
      yield* session.submissions(step, micro);
      progress.done = step + 1;
    }
    let ms = 0;
    yield session.beginDrain().map((figures) => {
      const sent = profile?.begin("send figures");
      for (const { step, ...values } of figures) {
        const tokensPerSecond = tokensPerStep(plan) / ms * 1000;
        profile?.noteLoss(step, values.loss);
        emit({ kind: "step", step: step + 1, ...values, tokensPerSecond, ms });
      }
      sent?.();
      checkFinite(figures);
      checkpoints.check();
    });
    progress.msPerStep = ms = (performance.now() - started) / (progress.done - first);
  }

  /** A profile that cannot be written is no reason to give the run up. Nothing else runs meanwhile. */
  #writeProfile({ plan, session, checkpoints, reports, emit }: OpenRun, profile: RunProfile): Readback<void> {
    return new Readback(false, async (whenIdle) => {
      await checkpoints.settled(); // a checkpoint that is being written belongs to what was recorded
      try {
        const programs = session.compiled.map(({ program }) => program);
        const summary = await profile.finish(programs, { plan });
        reports?.addTimes(programs.map(({ hash }) => hash), summary.launchMs);
        emit({ kind: "profile", summary });
      } catch (problem) {
        const { message } = explainFailure(problem);
        emit({ kind: "notice", text: `the profile could not be written: ${message}` });
      }
      whenIdle();
    });
  }
}
