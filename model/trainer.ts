/**
 * A training run from request to last checkpoint: opens device and data, compiles, starts or goes on, and takes steps
 * until it is done or told to stop. It runs in a Worker and speaks only through events, so whoever listens (a
 * terminal, a file of JSON lines, a server) drives the same trainer.
 *
 * @module
 */
import { basename } from "@std/path";
import { Dataset, encodeText, loadText, loadTokenizer, type Tokenizer } from "../data/mod.ts";
import {
  type GpuDevice,
  GpuTurns,
  type HostSpan,
  openDevice,
  Readback,
  TURN_PARTIES,
} from "../runtime/mod.ts";
import { type Checkpoint, CheckpointError, readTensors } from "./checkpoint.ts";
import { explainFailure, InputError } from "./errors.ts";
import { Generator } from "./generator.ts";
import type { TrainerAsk, TrainerEvent } from "./messages.ts";
import { cutParameters, joinParameters, layoutParameters } from "./params.ts";
import { runPipeline, type Submissions } from "./pipeline.ts";
import { LOSS_SCALING, requirePrecision } from "./precision.ts";
import { ProgramReports } from "./program_reports.ts";
import { planProfile, PROFILE_STEPS } from "./profile_plan.ts";
import { findStart } from "./resume.ts";
import { planRun, type RunPlan, tokensPerStep, type TrainRequest } from "./run_options.ts";
import { RunProfile } from "./run_profile.ts";
import { type Saved, Saver } from "./saver.ts";
import { MAX_PENDING, type StepFigures, TrainingSession } from "./session.ts";
import { Tuning } from "./tuning.ts";

/** Time between two looks at the losses, in milliseconds: how long an interrupt may have to wait, and a progress bar. */
const DRAIN_MS = 400;
/** Batches of one validation. */
const VALIDATION_BATCHES = 8;
/** Text that a sample begins with. */
const SAMPLE_PROMPT = "The";
/** Tokens of a sample: a byte says less than a token of GPT-2. */
const SAMPLE_TOKENS = { bytes: 200, gpt2: 48 };
/** Tokens that the generator has room for: prompt and continuation, when somebody asks for a sample. */
const MOST_TOKENS = { bytes: 512, gpt2: 128 };
const SAMPLE_OPTIONS = { temperature: 0.8, topK: 40 };

/** What a run works with, once everything is open. */
interface Parts {
  readonly out: string;
  readonly plan: RunPlan;
  readonly session: TrainingSession;
  readonly data: Dataset;
  readonly tokenizer: Tokenizer;
  /** Loaded before the first step when samples are due, otherwise when one is asked for. */
  generator?: Generator;
  /** Absent unless one is asked for. */
  readonly profile?: RunProfile;
}

/** How far a run is. */
interface Progress {
  /** Steps that have been submitted. */
  done: number;
  /** Of the last steps whose figures have been read. */
  msPerStep: number;
}

/** One training run. */
export class Trainer {
  #stopRequested = false;
  #savesAtStop = true;
  #asked: TrainerAsk[] = [];
  #device?: GpuDevice;
  #profile?: RunProfile;
  #savedPath?: string;
  #reports?: ProgramReports;
  readonly #saver = new Saver((saved) => this.#noteSaved(saved));

  /** @param emit Takes the events of the run, in order; the last one is `end` or `failure`. */
  constructor(private readonly emit: (event: TrainerEvent) => void) {}

  /** Lets the run finish its step, save unless `save` is false, and end. */
  stop({ save = true }: { readonly save?: boolean } = {}): void {
    this.#stopRequested = true;
    this.#savesAtStop = save;
  }

  /** Has something done after the step that runs now; a `reply` event tells the result. */
  ask(question: TrainerAsk): void {
    this.#asked.push(question);
  }

  /** Takes down what another thread did, when the run is being profiled. */
  noteSpan(span: HostSpan): void {
    this.#profile?.add(span);
  }

  /**
   * Runs to the end. Never rejects: what goes wrong becomes a `failure` event.
   *
   * @param turns Where device threads take turns; left out: the run has the device to itself.
   */
  async run(request: TrainRequest, turns?: SharedArrayBuffer): Promise<void> {
    let last: TrainerEvent;
    try {
      const { parts, start } = await this.#open(request);
      last = await this.#train(parts, start, turns && new GpuTurns(turns, TURN_PARTIES.training));
      await this.#saver.settled();
    } catch (problem) {
      await this.#saver.close();
      const { message, ...facts } = explainFailure(problem);
      const remains = this.#savedPath
        ? `; the checkpoint ${this.#savedPath} is good: go on with --resume`
        : "";
      last = { kind: "failure", message: message + remains, ...facts };
    }
    await this.#saver.close();
    this.#device?.destroy();
    await this.#reports?.settled(); // this thread may be gone after the last event
    this.emit(last);
  }

  /** Everything that can be refused is refused here, before anything is written. */
  async #open(request: TrainRequest): Promise<{ parts: Parts; start: number }> {
    const { out } = request;
    const { checkpoint, rejected, previous } = await findStart(request);
    for (const { message } of rejected) this.emit({ kind: "notice", text: `refused: ${message}` });
    const device = this.#device = await openDevice();
    const plan = previous ?? planRun(request, device.capabilities.software);
    requirePrecision(plan.dtype, device.capabilities, device.info.description);
    const start = checkpoint?.trainer.step ?? 0;
    const profile = this.#profile = await this.#openProfile(request, device, start, plan.steps);
    const tokenizer = await loadTokenizer(plan.tokenizer);
    const data = await openData(plan);
    this.emit({
      kind: "plan",
      out,
      plan,
      adapter: { name: device.info.description, software: device.info.software },
      parameters: countParameters(plan),
      trainTokens: data.train.length,
      validationTokens: data.validation.length,
      resumedFrom: start,
    });
    this.#reports = request.programs === undefined
      ? undefined
      : new ProgramReports(request.programs, basename(out));
    const tuning = await Tuning.open(device, {
      choice: request.tune,
      // A checkpoint from before schedules were kept is of a run with the templates' own.
      recorded: checkpoint && (checkpoint.trainer.schedules ?? {}),
      mode: plan.mode,
      steps: plan.steps - start,
      notify: (text) => this.emit({ kind: "notice", text }),
      onCompiled: (compilation) => this.#reports?.add(compilation),
    });
    const session = await this.#openSession(device, plan, tuning);
    if (checkpoint) await restore(session, checkpoint);
    else await session.initialize();
    this.#savedPath = checkpoint?.path;
    if (plan.evalEvery > 0) await session.loadValidation();
    const generator = plan.sampleEvery > 0 ? await loadGenerator(session) : undefined;
    return { parts: { out, plan, session, data, tokenizer, generator, profile }, start };
  }

  async #openProfile(
    { profile: file, profileSteps = PROFILE_STEPS, profileIsOptional }: TrainRequest,
    device: GpuDevice,
    start: number,
    steps: number,
  ): Promise<RunProfile | undefined> {
    if (file === undefined) return undefined;
    try {
      return await RunProfile.open(file, device, planProfile(start, steps, profileSteps));
    } catch (problem) {
      if (!profileIsOptional || !(problem instanceof InputError)) throw problem;
      this.emit({ kind: "notice", text: `there will be no profile: ${problem.message}` });
    }
  }

  async #openSession(device: GpuDevice, plan: RunPlan, tuning: Tuning): Promise<TrainingSession> {
    const started = performance.now();
    const session = await TrainingSession.open(device, plan, tuning);
    const { compiled } = session;
    this.emit({
      kind: "compiled",
      ms: performance.now() - started,
      kernels: compiled.reduce((sum, { program }) => sum + program.kernels.length, 0),
      dispatches: compiled.reduce((sum, { program, runs }) => sum + runs * program.dispatches.length, 0),
      peakBytes: device.memory.allocatedBytes,
      memory: session.memory,
    });
    return session;
  }

  async #train(parts: Parts, start: number, turns?: GpuTurns): Promise<TrainerEvent> {
    const { plan: { steps }, session: { device } } = parts;
    const progress: Progress = { done: start, msPerStep: Infinity };
    const shared = turns && { turns, idle: () => device.idle() };
    await runPipeline(this.#submissions(parts, progress), { shared });
    const { done } = progress;
    return { kind: "end", reason: done === steps ? "finished" : "stopped", step: done };
  }

  /** What the device has to do, in order; keeps account of it in `progress`. */
  *#submissions(parts: Parts, progress: Progress): Submissions {
    const { plan: { steps, evalEvery, sampleEvery, saveEvery }, profile } = parts;
    const isDue = (every: number, step: number) => every > 0 && (step % every === 0 || step === steps);
    let saved = progress.done;
    let chunk = 1;
    while (progress.done < steps && !this.#stopRequested) {
      const { done: first } = progress;
      const due = [evalEvery, sampleEvery, saveEvery].filter((every) => every > 0)
        .map((every) => (Math.floor(first / every) + 1) * every);
      const end = Math.min(steps, first + chunk, profile?.boundaryAfter(first) ?? Infinity, ...due);
      yield* this.#steps(parts, progress, end);
      // The first chunk also pays for what drivers do at the first launch, so growth is bounded.
      chunk = Math.min(
        MAX_PENDING,
        Math.max(1, Math.min(2 * chunk, Math.round(DRAIN_MS / progress.msPerStep))),
      );
      const { done } = progress;
      if (isDue(evalEvery, done)) yield* this.#validate(parts, done);
      if (isDue(sampleEvery, done)) yield* this.#sample(parts, done);
      if (saveEvery > 0 && done % saveEvery === 0) yield this.#save(parts, saved = done);
      for (const question of this.#asked.splice(0)) {
        if (question.kind === "save") saved = done;
        yield question.kind === "save"
          ? this.#saveNow(parts, done, question)
          : this.#continue(parts, done, question);
      }
      if (profile?.isDue(done)) yield this.#writeProfile(parts, profile);
    }
    if (profile?.isPending) yield this.#writeProfile(parts, profile);
    if (saved !== progress.done && (this.#savesAtStop || progress.done === steps)) {
      yield this.#save(parts, progress.done);
    }
  }

  get #isInterrupted(): boolean {
    return this.#stopRequested || this.#asked.length > 0;
  }

  /** Steps up to `end`, fewer when something else is asked for, and their figures. */
  *#steps(parts: Parts, progress: Progress, end: number): Submissions {
    const { plan, session, data, profile } = parts;
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
        this.emit({ kind: "step", step: step + 1, ...values, tokensPerSecond, ms });
      }
      sent?.();
      checkFinite(figures);
      this.#saver.check();
    });
    progress.msPerStep = ms = (performance.now() - started) / (progress.done - first);
  }

  *#validate(
    { session, data, profile }: Parts,
    step: number,
  ): Submissions {
    const count = Math.min(VALIDATION_BATCHES, data.validationBatches);
    profile?.enterOther(step);
    for (let index = 0; index < count; index++) {
      session.submitValidation(data.validationBatch(index));
      yield;
    }
    yield session.beginDrainValidation().map((loss) => this.emit({ kind: "validation", step, loss }));
  }

  *#sample(
    { plan, tokenizer, generator, profile }: Parts,
    step: number,
  ): Submissions {
    const prompt = samplePrompt(tokenizer);
    const count = SAMPLE_TOKENS[plan.tokenizer];
    const tokens = [...prompt];
    profile?.enterOther(step);
    const take = (drawn: Int32Array) => {
      tokens.push(...drawn);
      if (tokens.length < prompt.length + count) return;
      this.emit({ kind: "sample", step, text: tokenizer.decode(tokens) });
    };
    yield* generator!.submissions(prompt, count, { ...SAMPLE_OPTIONS, seed: plan.seed }, take);
  }

  /** Continues a prompt that somebody gave. Nothing else runs meanwhile. */
  #continue(
    parts: Parts,
    step: number,
    { id, prompt, maxTokens }: Extract<TrainerAsk, { kind: "sample" }>,
  ): Readback<void> {
    const { plan, session, tokenizer, profile } = parts;
    profile?.enterOther(step);
    return new Readback(false, async (whenIdle) => {
      const tokens = tokenizer.encode(prompt);
      const most = MOST_TOKENS[plan.tokenizer];
      if (tokens.length === 0 || tokens.length + maxTokens > most) {
        const problem =
          `a prompt of ${tokens.length} tokens and ${maxTokens} more: at least one token of prompt, ` +
          `and at most ${most} in all`;
        this.emit({ kind: "reply", id, step, problem });
      } else {
        const generator = parts.generator ??= await loadGenerator(session);
        const drawn = await generator.generate(tokens, maxTokens, { ...SAMPLE_OPTIONS, seed: plan.seed });
        this.emit({ kind: "reply", id, step, text: tokenizer.decode([...tokens, ...drawn]) });
      }
      whenIdle();
    });
  }

  /** Saves now, and tells when the files are written; the run goes on meanwhile. */
  #saveNow(parts: Parts, step: number, { id }: Extract<TrainerAsk, { kind: "save" }>): Readback<void> {
    return this.#save(parts, step).map(() => {
      this.#saver.settled().then(() => this.emit({ kind: "reply", id, step }), () => {});
    });
  }

  /** Reads the state; the files are written while the run goes on. */
  #save({ out, plan, session, tokenizer, profile }: Parts, step: number): Readback<void> {
    profile?.enterOther(step);
    return session.beginSnapshot().map(async ({ params, ...optimizer }) => {
      const flat = ([name, data]: [string, Float32Array]) => ({ name, shape: [data.length], data });
      const waited = profile?.begin("wait for the checkpoint before");
      await this.#saver.settled();
      waited?.();
      this.#saver.save(out, {
        config: plan.model,
        tokenizer: tokenizer.file(),
        parameters: cutParameters(session.layout, params),
        optimizer: Object.entries(optimizer).map(flat),
        trainer: {
          step,
          position: step * plan.accumulation,
          seed: plan.seed,
          plan,
          schedules: session.schedules,
        },
      });
    });
  }

  /** A profile that cannot be written is no reason to give the run up. Nothing else runs meanwhile. */
  #writeProfile({ plan, session }: Parts, profile: RunProfile): Readback<void> {
    return new Readback(false, async (whenIdle) => {
      await this.#saver.settled(); // a checkpoint that is being written belongs to what was recorded
      try {
        const programs = session.compiled.map(({ program }) => program);
        const summary = await profile.finish(programs, { plan });
        this.#reports?.addTimes(programs.map(({ hash }) => hash), summary.launchMs);
        this.emit({ kind: "profile", summary });
      } catch (problem) {
        const { message } = explainFailure(problem);
        this.emit({ kind: "notice", text: `the profile could not be written: ${message}` });
      }
      whenIdle();
    });
  }

  #noteSaved({ path, step, start, end }: Saved): void {
    this.#savedPath = path;
    this.emit({ kind: "checkpoint", step, path });
    const { timeOrigin } = performance;
    this.noteSpan({
      name: "write checkpoint",
      category: "host",
      start: timeOrigin + start,
      end: timeOrigin + end,
      args: { step },
      thread: "checkpoint",
    });
  }
}

function samplePrompt(tokenizer: Tokenizer): Int32Array {
  return Int32Array.from(tokenizer.encode(SAMPLE_PROMPT));
}

async function loadGenerator({ device, states, plan, onCompiled }: TrainingSession): Promise<Generator> {
  const capacity = MOST_TOKENS[plan.tokenizer];
  return await Generator.load(device, states, plan.model, { capacity, mode: plan.mode, onCompiled });
}

async function openData({ data, tokenizer, microBatch, model, seed }: RunPlan): Promise<Dataset> {
  const tokens = await encodeText(tokenizer, await loadText(data));
  return new Dataset(data, tokens, { batch: microBatch, context: model.context, seed });
}

function countParameters({ model }: RunPlan): number {
  return layoutParameters(model).count;
}

async function restore(session: TrainingSession, checkpoint: Checkpoint): Promise<void> {
  const params = joinParameters(session.layout, await readTensors(checkpoint, "model.safetensors"));
  const saved = await readTensors(checkpoint, "trainer.safetensors");
  const find = (name: string, length: number): Float32Array => {
    const values = saved.get(name);
    if (values?.length === length) return values;
    throw new CheckpointError(checkpoint.path, `trainer.safetensors has no ${name} of this model`);
  };
  const { size } = session.layout;
  const scaling = session.scalingStates.map((name) => [name, find(name, 1)]);
  session.restore({ params, m: find("m", size), v: find("v", size), ...Object.fromEntries(scaling) });
}

/**
 * A run whose loss is no number cannot recover, and must not be saved over a good one. Gradients that overflow make a
 * step that does not count, unless the loss scale cannot become smaller.
 */
function checkFinite(figures: readonly StepFigures[]): void {
  const bad = figures.find(({ loss, gradNorm, lossScale = LOSS_SCALING.smallest }) =>
    !Number.isFinite(loss) || (!Number.isFinite(gradNorm) && lossScale <= LOSS_SCALING.smallest)
  );
  if (!bad) return;
  throw new Error(
    `step ${
      bad.step + 1
    }: the loss is ${bad.loss}, the gradient norm ${bad.gradNorm}: the run has diverged; ` +
      "a lower --lr helps",
  );
}
