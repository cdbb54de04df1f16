/**
 * Opens a run: data, device, programs, weights, and everything that is done between steps. Whatever can be refused is refused here,
 * before anything is written.
 *
 * @module
 */
import { basename } from "@std/path";
import { type Batches, loadTokenizer, openData } from "../../data/mod.ts";
import { type GpuDevice, openDevice } from "../../runtime/mod.ts";
import { type Checkpoint, CheckpointError, readTensors } from "../checkpoint.ts";
import { InputError } from "../errors.ts";
import { RunHellaSwag } from "../evaluation/run_hellaswag.ts";
import { initialValues, openInitial, requireSameTokens } from "../init_from.ts";
import type { PlanEvent, TrainerEvent } from "../messages.ts";
import { joinParameters, layoutParameters } from "../params.ts";
import { LOSS_SCALING, requirePrecision } from "../precision.ts";
import { planProfile, PROFILE_STEPS } from "../profile_plan.ts";
import { ProgramReports } from "../program_reports.ts";
import { findStart } from "../resume.ts";
import { planRun, type RunPlan, type TrainRequest } from "../run_options.ts";
import { RunProfile } from "../run_profile.ts";
import { TrainingSession } from "../session.ts";
import { Tuning } from "../tuning.ts";
import { RunSnapshots, snapshotPlanOf } from "../watch/run_snapshots.ts";
import type { Weights } from "../weights.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { RunContext } from "./context.ts";
import { planDisk, requireDisk } from "./disk_plan.ts";
import { readMetrics } from "./metrics.ts";
import type { PeriodicTask } from "./periodic.ts";
import { Recorder } from "./recorder.ts";
import { openReference } from "./reference.ts";
import { Samples } from "./samples.ts";
import { Validations } from "./validations.ts";

/** A run that can take its first step. */
export interface OpenRun extends RunContext {
  /** Steps that are done. */
  readonly start: number;
  readonly checkpoints: Checkpoints;
  readonly samples: Samples;
  /** What is done between steps, in this order. */
  readonly tasks: readonly PeriodicTask[];
  /** Absent unless compiled programs are reported. */
  readonly reports?: ProgramReports;
  /** Absent when the run is not to be recorded. */
  readonly recorder?: Recorder;
}

/** What a run is opened with. */
export interface OpenOptions {
  /** Closes what has been opened, also when the rest cannot be. */
  readonly resources: AsyncDisposableStack;
  /** Takes events before and while the run goes on. */
  readonly emit: (event: TrainerEvent) => void;
  /** Called when the run should end because it no longer gets better. */
  readonly onStale: () => void;
}

/**
 * Opens the run that is asked for.
 *
 * @throws {InputError} when it cannot be.
 */
export async function openRun(request: TrainRequest, options: OpenOptions): Promise<OpenRun> {
  const { resources, emit, onStale } = options;
  const notify = (text: string) => emit({ kind: "notice", text });
  const { checkpoint, rejected, previous } = await findStart(request);
  for (const { message } of rejected) notify(`refused: ${message}`);
  const start = checkpoint?.trainer.step ?? 0;
  const weights = checkpoint || request.initFrom === undefined
    ? undefined
    : await openInitial(request.initFrom, notify);

  const device = await openDevice();
  resources.defer(() => device.destroy());
  const plan = previous ?? planRun(request, device.capabilities.software, weights);
  requirePrecision(plan.dtype, device.capabilities, device.info.description);
  const profile = await openProfile(request, device, start, plan.steps, notify);
  const tokenizer = await loadTokenizer(plan.tokenizer);
  if (weights) await requireSameTokens(weights, plan.tokenizer);
  const reference = await openReference(plan);
  const { out } = request;
  const snapshotPlan = snapshotPlanOf(plan, tokenizer);
  const disk = planDisk(plan, out, start, snapshotPlan?.bytes);
  requireDisk(disk, out);
  const { microBatch: batch, model: { context }, seed } = plan;
  const data = await openData(plan.data, tokenizer, { batch, context, seed });
  resources.defer(() => data.close());
  if (checkpoint) requireSameData(checkpoint, plan, data);
  const announced: PlanEvent = {
    kind: "plan",
    out,
    plan,
    adapter: { name: device.info.description, software: device.info.software },
    parameters: layoutParameters(plan.model).count,
    trainTokens: data.trainTokens,
    validationTokens: data.validationTokens,
    resumedFrom: start,
    disk,
    ...reference && { reference: { name: reference.name, source: reference.source } },
  };
  emit(announced);

  const reports = request.programs === undefined
    ? undefined
    : new ProgramReports(request.programs, basename(out));
  if (reports) resources.defer(() => reports.settled()); // this thread may be gone after the last event
  const tuning = await Tuning.open(device, {
    choice: request.tune,
    // A checkpoint from before schedules were kept is of a run with the templates' own.
    recorded: checkpoint && (checkpoint.trainer.schedules ?? {}),
    mode: plan.mode,
    steps: plan.steps - start,
    notify,
    onCompiled: (compilation) => reports?.add(compilation),
  });
  const session = await openSession(device, plan, tuning, emit);
  if (checkpoint) await restore(session, checkpoint);
  else if (weights) await begin(session, weights);
  else await session.initialize();
  if (plan.evalEvery > 0) await session.loadValidation();

  let recorder: Recorder | undefined;
  const told = (event: TrainerEvent) => {
    recorder?.note(event);
    emit(event);
  };
  const run: RunContext = { out, plan, session, data, tokenizer, profile, emit: told };
  const samples = new Samples(run);
  if (plan.sampleEvery > 0) await samples.load();
  const checkpoints = new Checkpoints(run, start, checkpoint?.path);
  resources.defer(() => checkpoints.close());
  const validations = new Validations(run, { reference, onStale });
  const tasks: PeriodicTask[] = [validations, samples, checkpoints];
  if (plan.hellaswagEvery) tasks.push(await RunHellaSwag.open(run, { file: plan.hellaswagFile }));
  if (snapshotPlan) tasks.push(await RunSnapshots.open(run, snapshotPlan, await samples.load()));

  if (request.record ?? true) {
    const earlier = start > 0 ? await readMetrics(out) : [];
    validations.recall(earlier.filter(({ step }) => step <= start));
    recorder = await Recorder.open(announced, notify);
    resources.defer(() => recorder!.close());
  }
  return { ...run, start, checkpoints, samples, tasks, reports, recorder };
}

async function openProfile(
  { profile: file, profileSteps = PROFILE_STEPS, profileIsOptional }: TrainRequest,
  device: GpuDevice,
  start: number,
  steps: number,
  notify: (text: string) => void,
): Promise<RunProfile | undefined> {
  if (file === undefined) return undefined;
  try {
    return await RunProfile.open(file, device, planProfile(start, steps, profileSteps));
  } catch (problem) {
    if (!profileIsOptional || !(problem instanceof InputError)) throw problem;
    notify(`there will be no profile: ${problem.message}`);
  }
}

/** A run that goes on must find the tokens that it began with, whatever they are called. */
function requireSameData(
  { trainer: { dataIdentity: begun } }: Checkpoint,
  { data }: RunPlan,
  found: Batches,
): void {
  if (begun === undefined || begun === found.identity) return;
  throw new InputError(
    `--data ${data}`,
    `it has changed since the run began: ${found.identity}, before ${begun}`,
    "put back what was there, or begin another run with another --out",
  );
}

async function openSession(
  device: GpuDevice,
  plan: RunPlan,
  tuning: Tuning,
  emit: (event: TrainerEvent) => void,
): Promise<TrainingSession> {
  const started = performance.now();
  const session = await TrainingSession.open(device, plan, tuning);
  const { compiled } = session;
  emit({
    kind: "compiled",
    ms: performance.now() - started,
    kernels: compiled.reduce((sum, { program }) => sum + program.kernels.length, 0),
    dispatches: compiled.reduce((sum, { program, runs }) => sum + runs * program.dispatches.length, 0),
    peakBytes: device.memory.allocatedBytes,
    memory: session.memory,
  });
  return session;
}

/** Puts a checkpoint's values in place. */
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

/** Begins with trained weights, and moments of zero. */
async function begin(session: TrainingSession, weights: Weights): Promise<void> {
  const { layout: { size }, plan: { model } } = session;
  const scaling = { lossScale: Float32Array.of(LOSS_SCALING.initial), goodSteps: Float32Array.of(0) };
  const zeros = new Float32Array(size);
  session.restore({ params: await initialValues(weights, model), m: zeros, v: zeros, ...scaling });
}
