/**
 * The programs of one training run on a device, and the state that they share. A session runs steps and reads figures;
 * when to validate, sample and save is the trainer's business.
 *
 * @module
 */
import { compileGraph, type Program } from "../compiler/mod.ts";
import type { Batch } from "../data/mod.ts";
import type { GpuDevice, LoadedProgram, MetricsRing, Readback, StateStore } from "../runtime/mod.ts";
import { explainBudget, memoryBudget, type MemoryReport, memoryReport } from "./memory.ts";
import { type OptimizerState, stepScalars } from "./optimizer.ts";
import { isScaled, SCALING_STATES } from "./precision.ts";
import { arenaNames, layoutParameters, type ParameterLayout } from "./params.ts";
import { traceApplyStep, traceInit, traceLoss, traceMicroStep, traceTrainStep } from "./programs.ts";
import { randomKey } from "./random_keys.ts";
import type { RunPlan } from "./run_options.ts";
import { learningRate, type Schedule, scheduleFor } from "./schedule.ts";
import { type Schedules, schedulesOf, Tuning } from "./tuning.ts";

/** What one step gave. */
export interface StepFigures {
  /** Counted from 0. */
  readonly step: number;
  readonly loss: number;
  /** Global norm of the gradients before clipping; not finite when they overflowed, and the step does not count. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Scale of the loss after the step, where the precision needs one. */
  readonly lossScale?: number;
}

/** What a run needs to go on, on the host: the optimizer's flat tensors and, where there is one, the loss scale. */
export type OptimizerValues =
  & Readonly<Record<keyof OptimizerState, Float32Array>>
  & Readonly<Partial<Record<(typeof SCALING_STATES)[number], Float32Array>>>;

const STATES = ["params", "m", "v"] as const satisfies readonly (keyof OptimizerState)[];

/** Most steps that may wait for a readback. */
export const MAX_PENDING = 256;

/** The programs of a step: one, or a micro step and an apply step. */
interface StepPrograms {
  readonly micro?: LoadedProgram;
  /** Updates the parameters; gives loss and gradient norm. */
  readonly last: LoadedProgram;
}

/** Programs and state of a run. */
export class TrainingSession {
  readonly layout: ParameterLayout;
  readonly #schedule: Schedule;
  readonly #ring: MetricsRing;
  #validation?: { readonly program: LoadedProgram; readonly ring: MetricsRing };

  private constructor(
    readonly device: GpuDevice,
    readonly plan: RunPlan,
    /** `params`, `m`, `v` and whatever else lives on the device; a generator shares them. */
    readonly states: StateStore,
    private readonly programs: StepPrograms,
    /** Is given every program that the run compiles. */
    readonly onCompiled: Tuning["onCompiled"],
  ) {
    this.layout = layoutParameters(plan.model);
    this.#schedule = scheduleFor(plan.learningRate, plan.steps, plan.schedule);
    const figures = ["loss", "gradNorm", ...isScaled(plan.dtype) ? ["lossScale"] : []];
    this.#ring = programs.last.createRing(figures, { slots: MAX_PENDING });
  }

  /**
   * Compiles and loads the programs of a step.
   *
   * @param tuning Which schedules their kernels get; the templates' own by default.
   * @throws {LimitError} when the device has no room for them, with the sizes.
   * @throws {InputError} when they cannot keep the plan's budget of memory, with the least that is needed.
   */
  static async open(device: GpuDevice, plan: RunPlan, tuning?: Tuning): Promise<TrainingSession> {
    const { model, dtype, accumulation, mode } = plan;
    const shape = { batch: plan.microBatch, context: model.context };
    const layout = layoutParameters(model);
    const states = device.createStates();
    const budget = memoryBudget(plan, device);
    // A micro step does not know the moments, which stay on the device all the same.
    const reserved = accumulation === 1 ? 0 : 2 * Float32Array.BYTES_PER_ELEMENT * layout.size;
    const memoryBytes = budget && budget.bytes - reserved;
    const jobs = accumulation === 1
      ? [{ graph: traceTrainStep(model, shape, layout, dtype), name: "step", runs: 1, memoryBytes }]
      : [
        {
          graph: traceMicroStep(model, shape, layout, dtype),
          name: "micro_step",
          runs: accumulation,
          memoryBytes,
        },
        { graph: traceApplyStep(model, layout, dtype), name: "apply_step", runs: 1 },
      ];
    tuning ??= await Tuning.open(device, { choice: "never", mode, steps: plan.steps });
    const loaded: LoadedProgram[] = [];
    const programs = await tuning.compile(jobs).catch((problem) => {
      throw explainBudget(problem, budget, reserved);
    });
    for (const program of programs) loaded.push(await device.load(program, states));
    const step = { micro: loaded.at(-2), last: loaded.at(-1)! };
    return new TrainingSession(device, plan, states, step, tuning.onCompiled);
  }

  /** The compiled programs of a step, with how often each runs. */
  get compiled(): readonly { readonly program: Program; readonly runs: number }[] {
    const { micro, last } = this.programs;
    const first = micro ? [{ program: micro.program, runs: this.plan.accumulation }] : [];
    return [...first, { program: last.program, runs: 1 }];
  }

  /** What became of the budget of memory, if there is one. Valid until other programs are loaded. */
  get memory(): MemoryReport | undefined {
    const programs = this.compiled.map(({ program }) => program);
    return memoryReport(memoryBudget(this.plan, this.device), programs, this.device.memory.allocatedBytes);
  }

  /** The schedules that the kernels of a step got. */
  get schedules(): Schedules {
    return schedulesOf(this.compiled.map(({ program }) => program));
  }

  /** Draws fresh parameters from the plan's seed and clears the moments. */
  async initialize(): Promise<void> {
    const graph = traceInit(this.plan.model, this.layout, this.plan.dtype);
    const { device: { capabilities }, plan: { mode }, onCompiled } = this;
    const program = compileGraph(graph, capabilities, { mode, name: "init", onCompiled });
    const loaded = await this.device.load(program, this.states);
    loaded.run({ scalars: { key: randomKey(this.plan.seed, "weights") } });
    await this.device.idle();
    loaded.destroy();
  }

  /** Puts saved values in place. */
  restore(values: OptimizerValues): void {
    for (const kind of STATES) writeArenas(this.states, this.layout, kind, values[kind]);
    for (const name of this.scalingStates) this.states.write(name, 0, values[name]!);
  }

  /** Reads the values that {@link restore} takes. Waits for all steps so far. */
  async snapshot(): Promise<OptimizerValues> {
    return await this.beginSnapshot().read();
  }

  /** As {@link snapshot}, in two halves. */
  beginSnapshot(): Readback<OptimizerValues> {
    const arenas = STATES.flatMap((kind) => arenaNames(this.layout, kind));
    return this.states.beginReadAll([...arenas, ...this.scalingStates]).map((values) => {
      const scaling = this.scalingStates.map((name) => [
        name,
        new Float32Array(values.get(name)!.buffer, 0, 1),
      ]);
      const flat = (kind: string) => joinArenas(values, this.layout, kind);
      return { params: flat("params"), m: flat("m"), v: flat("v"), ...Object.fromEntries(scaling) };
    });
  }

  /** Names of the numbers that a run needs to go on besides its flat tensors. */
  get scalingStates(): readonly (typeof SCALING_STATES)[number][] {
    return isScaled(this.plan.dtype) ? SCALING_STATES : [];
  }

  /** Steps whose figures wait in the ring. */
  get pending(): number {
    return this.#ring.pending;
  }

  /** Submits step `step` (from 0) on as many batches as the plan accumulates; waits for nothing. */
  step(step: number, batches: readonly Batch[]): void {
    Array.from(this.submissions(step, batches));
  }

  /** As {@link step}, one submission each time that it is asked to go on. */
  *submissions(step: number, batches: readonly Batch[]): IterableIterator<undefined> {
    const { micro, last } = this.programs;
    const scalars = stepScalars(step, learningRate(this.#schedule, step));
    const run = { scalars, record: this.#ring, tag: step };
    if (!micro) last.run({ ...run, batch: { ...batches[0] } });
    else {
      for (const [index, batch] of batches.entries()) {
        const weight = 1 / batches.length;
        micro.run({ batch: { ...batch }, scalars: { keep: index > 0 ? 1 : 0, weight } });
        yield;
      }
      last.run(run);
    }
    yield;
  }

  /** Reads the figures of the steps since the last call, oldest first. Blocks the thread until they are done. */
  async drain(): Promise<StepFigures[]> {
    return await this.beginDrain().read();
  }

  /** As {@link drain}, in two halves, between which steps may be submitted. */
  beginDrain(): Readback<StepFigures[]> {
    return this.#ring.beginDrain().map((records) =>
      records.map(({ tag: step, values: { loss, gradNorm, lossScale } }) => ({
        step,
        loss,
        gradNorm,
        ...lossScale === undefined ? {} : { lossScale },
        learningRate: learningRate(this.#schedule, step),
      }))
    );
  }

  /** Mean loss over at most {@link MAX_PENDING} batches, without learning from them. */
  async validate(batches: readonly Batch[]): Promise<number> {
    await this.loadValidation();
    for (const batch of batches) this.submitValidation(batch);
    return await this.beginDrainValidation().read();
  }

  /** Submits the validation of a batch. The program must have been loaded. */
  submitValidation(batch: Batch): void {
    const { program, ring } = this.#validation!;
    program.run({ batch: { ...batch }, record: ring });
  }

  /** Reads the mean loss of the batches that were submitted since the last call, in two halves. */
  beginDrainValidation(): Readback<number> {
    return this.#validation!.ring.beginDrain().map((records) =>
      records.reduce((sum, { values }) => sum + values.loss, 0) / records.length
    );
  }

  /** Compiles and loads what validations need, unless that is done. */
  async loadValidation(): Promise<void> {
    this.#validation ??= await this.#loadValidation();
  }

  async #loadValidation() {
    const { model, microBatch, mode, dtype } = this.plan;
    const graph = traceLoss(model, { batch: microBatch, context: model.context }, this.layout, dtype);
    const { schedules, onCompiled } = this;
    const compiled = compileGraph(graph, this.device.capabilities, {
      mode,
      name: "validation",
      schedules: (key) => schedules[key],
      onCompiled,
    });
    const program = await this.device.load(compiled, this.states);
    return { program, ring: program.createRing(["loss"], { slots: MAX_PENDING }) };
  }
}

/** Writes flat values to the states that hold them. */
export function writeArenas(
  states: StateStore,
  layout: ParameterLayout,
  kind: string,
  flat: Float32Array,
): void {
  const names = arenaNames(layout, kind);
  layout.arenas.forEach(({ start, end }, i) => states.write(names[i], 0, flat.subarray(start, end)));
}

function joinArenas(
  values: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  layout: ParameterLayout,
  kind: string,
): Float32Array {
  const names = arenaNames(layout, kind);
  if (names.length === 1) return new Float32Array(values.get(kind)!.buffer, 0, layout.size);
  const flat = new Float32Array(layout.size);
  for (const [i, { start, end }] of layout.arenas.entries()) {
    flat.set(new Float32Array(values.get(names[i])!.buffer, 0, end - start), start);
  }
  return flat;
}
