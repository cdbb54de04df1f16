/**
 * A training run from request to last checkpoint: opens device and data, compiles, starts or goes on, and takes steps
 * until it is done or told to stop. It runs in a Worker and speaks only through events, so whoever listens (a
 * terminal, a file of JSON lines, a server) drives the same trainer.
 *
 * @module
 */
import { Dataset, encodeText, loadText, loadTokenizer, type Tokenizer } from "../data/mod.ts";
import { type GpuDevice, openDevice } from "../runtime/mod.ts";
import { type Checkpoint, CheckpointError, readTensors, saveCheckpoint } from "./checkpoint.ts";
import { explainFailure } from "./errors.ts";
import { Generator } from "./generator.ts";
import type { TrainerEvent } from "./messages.ts";
import { cutParameters, joinParameters, layoutParameters } from "./params.ts";
import { LOSS_SCALING, requirePrecision } from "./precision.ts";
import { findStart } from "./resume.ts";
import { planRun, type RunPlan, tokensPerStep, type TrainRequest } from "./run_options.ts";
import { MAX_PENDING, type StepFigures, TrainingSession } from "./session.ts";
import { Tuning } from "./tuning.ts";

/** Time between two looks at the losses, in milliseconds: each costs some 11 ms in which the device is idle. */
const DRAIN_MS = 400;
/** Batches of one validation. */
const VALIDATION_BATCHES = 8;
/** Text that a sample begins with. */
const SAMPLE_PROMPT = "The";
/** Tokens of a sample: a byte says less than a token of GPT-2. */
const SAMPLE_TOKENS = { bytes: 200, gpt2: 48 };
const SAMPLE_OPTIONS = { temperature: 0.8, topK: 40 };

/** What a run works with, once everything is open. */
interface Parts {
  readonly out: string;
  readonly plan: RunPlan;
  readonly session: TrainingSession;
  readonly data: Dataset;
  readonly tokenizer: Tokenizer;
}

/** One training run. */
export class Trainer {
  #stopRequested = false;
  #device?: GpuDevice;
  #generator?: Generator;
  #savedStep = -1;
  #savedPath?: string;

  /** @param emit Takes the events of the run, in order; the last one is `end` or `failure`. */
  constructor(private readonly emit: (event: TrainerEvent) => void) {}

  /** Lets the run finish its step, save and end. */
  stop(): void {
    this.#stopRequested = true;
  }

  /** Runs to the end. Never rejects: what goes wrong becomes a `failure` event. */
  async run(request: TrainRequest): Promise<void> {
    let last: TrainerEvent;
    try {
      const { parts, start } = await this.#open(request);
      last = await this.#train(parts, start);
    } catch (problem) {
      const { message, badInput } = explainFailure(problem);
      const remains = this.#savedPath
        ? `; the checkpoint ${this.#savedPath} is good: go on with --resume`
        : "";
      last = { kind: "failure", message: message + remains, badInput };
    }
    this.#device?.destroy();
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
    const tuning = await Tuning.open(device, {
      choice: request.tune,
      // A checkpoint from before schedules were kept is of a run with the templates' own.
      recorded: checkpoint && (checkpoint.trainer.schedules ?? {}),
      mode: plan.mode,
      steps: plan.steps - start,
      notify: (text) => this.emit({ kind: "notice", text }),
    });
    const session = await this.#openSession(device, plan, tuning);
    if (checkpoint) await restore(session, checkpoint);
    else await session.initialize();
    this.#savedStep = start;
    this.#savedPath = checkpoint?.path;
    return { parts: { out, plan, session, data, tokenizer }, start };
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
    });
    return session;
  }

  async #train(parts: Parts, start: number): Promise<TrainerEvent> {
    const { plan: { steps, evalEvery, sampleEvery, saveEvery } } = parts;
    const isDue = (every: number, step: number) => every > 0 && (step % every === 0 || step === steps);
    let chunk = 1;
    let done = start;
    while (done < steps && !this.#stopRequested) {
      const due = [evalEvery, sampleEvery, saveEvery].filter((every) => every > 0)
        .map((every) => (Math.floor(done / every) + 1) * every);
      const end = Math.min(steps, done + chunk, ...due);
      const ms = await this.#steps(parts, done, end);
      // The first chunk also pays for what drivers do at the first launch, so growth is bounded.
      chunk = Math.min(MAX_PENDING, Math.max(1, Math.min(2 * chunk, Math.round(DRAIN_MS / ms))));
      done = end;
      if (isDue(evalEvery, done)) await this.#validate(parts, done);
      if (isDue(sampleEvery, done)) await this.#sample(parts, done);
      if (saveEvery > 0 && done % saveEvery === 0) await this.#save(parts, done);
      await new Promise((resolve) => setTimeout(resolve, 0)); // lets a stop request in
    }
    if (this.#savedStep !== done) await this.#save(parts, done);
    return { kind: "end", reason: done === steps ? "finished" : "stopped", step: done };
  }

  /** Takes steps `first` to `end` - 1 and reports them; returns the mean milliseconds of one. */
  async #steps({ plan, session, data }: Parts, first: number, end: number): Promise<number> {
    const { accumulation } = plan;
    const started = performance.now();
    for (let step = first; step < end; step++) {
      const micro = Array.from({ length: accumulation }, (_, i) => data.batchAt(step * accumulation + i));
      session.step(step, micro);
    }
    const figures = await session.drain();
    const ms = (performance.now() - started) / (end - first);
    for (const { step, ...values } of figures) {
      const tokensPerSecond = tokensPerStep(plan) / ms * 1000;
      this.emit({ kind: "step", step: step + 1, ...values, tokensPerSecond, ms });
    }
    checkFinite(figures);
    return ms;
  }

  async #validate({ session, data }: Parts, step: number): Promise<void> {
    const count = Math.min(VALIDATION_BATCHES, data.validationBatches);
    const batches = Array.from({ length: count }, (_, index) => data.validationBatch(index));
    this.emit({ kind: "validation", step, loss: await session.validate(batches) });
  }

  async #sample({ plan, session, tokenizer }: Parts, step: number): Promise<void> {
    const prompt = Int32Array.from(tokenizer.encode(SAMPLE_PROMPT));
    const count = SAMPLE_TOKENS[plan.tokenizer];
    this.#generator ??= await Generator.load(session.device, session.states, plan.model, {
      capacity: prompt.length + count,
      mode: plan.mode,
    });
    const tokens = await this.#generator.generate(prompt, count, { ...SAMPLE_OPTIONS, seed: plan.seed });
    this.emit({ kind: "sample", step, text: tokenizer.decode([...prompt, ...tokens]) });
  }

  async #save({ out, plan, session, tokenizer }: Parts, step: number): Promise<void> {
    const { params, ...optimizer } = await session.snapshot();
    const flat = ([name, data]: [string, Float32Array]) => ({ name, shape: [data.length], data });
    const path = await saveCheckpoint(out, {
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
    this.#savedStep = step;
    this.#savedPath = path;
    this.emit({ kind: "checkpoint", step, path });
  }
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
