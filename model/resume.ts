/**
 * Where a run begins: at step 0 in a directory without a run, or at the newest good checkpoint of an old one. Finds out
 * before a device is opened, and writes nothing.
 *
 * @module
 */
import {
  type Checkpoint,
  CheckpointError,
  type Latest,
  latestCheckpoint,
  listCheckpoints,
} from "./checkpoint.ts";
import { PRESET_NAMES } from "./config.ts";
import { FinishedError, InputError } from "./errors.ts";
import { PRECISIONS } from "./precision.ts";
import { MODE_NAMES, type RunPlan, scheduleChoice, tokensPerStep, type TrainRequest } from "./run_options.ts";
import { watchingOf } from "./run/watching.ts";
import { checkSchedule } from "./schedule.ts";

/** The beginning of a run. */
export interface Start {
  /** Where it goes on; absent for a fresh run. */
  readonly checkpoint?: Checkpoint;
  /** The plan of the run that goes on, with what the request may change. */
  readonly previous?: RunPlan;
  /** Newer checkpoints that were passed over, with the reasons. */
  readonly rejected: readonly CheckpointError[];
}

/**
 * Finds where the requested run begins.
 *
 * @throws {InputError} when a fresh run would mix with an old one, there is nothing to go on from, or the request asks
 * for another run than the one that was begun.
 */
export async function findStart(request: TrainRequest): Promise<Start> {
  const { out } = request;
  if (!request.resume) {
    await refuseOldRun(out);
    return { rejected: [] };
  }
  const { checkpoint, rejected } = await latest(out);
  if (!checkpoint) {
    const reason = rejected[0];
    throw new InputError(
      `--resume --out ${out}`,
      reason ? `no checkpoint there can be used (${reason.message})` : "there is no checkpoint there",
      "name another --out, or leave out --resume to begin a run",
    );
  }
  if (!checkpoint.hasOptimizer) {
    throw new InputError(
      `--resume --out ${out}`,
      "there are only weights, not the state of a run",
      `leave out --resume, and begin a run from them with --init-from checkpoint:${out} and another --out`,
    );
  }
  const saved = savedPlan(checkpoint);
  refuseOtherRun(request, saved);
  const { memoryBytes = saved.memoryBytes } = request;
  const chosen = scheduleChoice(request);
  const schedule = chosen && { ...saved.schedule, ...chosen };
  const previous: RunPlan = {
    ...saved,
    steps: request.steps ?? saved.steps,
    learningRate: request.learningRate ?? saved.learningRate,
    ...schedule && { schedule },
    mode: request.mode ?? saved.mode,
    ...memoryBytes === undefined ? {} : { memoryBytes },
    evalEvery: request.evalEvery ?? saved.evalEvery,
    saveEvery: request.saveEvery ?? saved.saveEvery,
    sampleEvery: request.sampleEvery ?? saved.sampleEvery,
    ...watchingOf(request),
  };
  checkSchedule(previous.learningRate, previous.steps, previous.schedule);
  const { step } = checkpoint.trainer;
  if (step >= previous.steps) {
    throw new FinishedError(
      `--resume --out ${out}`,
      `the run is at step ${step} of ${previous.steps} already`,
      `give --steps above ${step} to train on`,
    );
  }
  return { checkpoint, previous, rejected };
}

async function refuseOldRun(out: string): Promise<void> {
  try {
    const [newest] = await listCheckpoints(out);
    if (newest) {
      throw new InputError(
        `--out ${out}`,
        `there is a run in it already (${newest})`,
        "add --resume to go on with it, or name another directory",
      );
    }
    if (!(await Deno.stat(out)).isDirectory) {
      throw new InputError(`--out ${out}`, "not a directory", "name another one");
    }
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) throw unreadable(out, problem);
  }
}

async function latest(out: string): Promise<Latest> {
  try {
    return await latestCheckpoint(out);
  } catch (problem) {
    throw unreadable(out, problem);
  }
}

function unreadable(out: string, problem: unknown): unknown {
  if (!(problem instanceof Error) || problem instanceof InputError) return problem;
  return new InputError(`--out ${out}`, `cannot be read (${problem.message})`, "name another directory");
}

/** What a run that goes on must not change: it would be another run under the name of the old one. */
function refuseOtherRun(request: TrainRequest, saved: RunPlan): void {
  const { model } = saved;
  const fixed: [flag: string, asked: unknown, begun: unknown][] = [
    ["preset", request.preset, saved.preset],
    ["layers", request.layers, model.layers],
    ["width", request.width, model.width],
    ["heads", request.heads, model.heads],
    ["context", request.context, model.context],
    ["tokenizer", request.tokenizer, saved.tokenizer],
    ["data", request.data, saved.data],
    ["init-from", request.initFrom, saved.initFrom],
    ["micro-batch", request.microBatch, saved.microBatch],
    ["batch-tokens", request.batchTokens, tokensPerStep(saved)],
    ["seed", request.seed, saved.seed],
    ["dtype", request.dtype, saved.dtype],
  ];
  for (const [flag, asked, begun] of fixed) {
    if (asked === undefined || asked === begun) continue;
    throw new InputError(
      `--${flag} ${asked}`,
      begun === undefined ? `this run was begun without --${flag}` : `this run was begun with ${begun}`,
      `leave out --${flag}, or begin another run with another --out`,
    );
  }
}

/** The plan in a checkpoint; the file may have been written by anyone. */
function savedPlan({ path, trainer, config }: Checkpoint): RunPlan {
  const given = trainer.plan as RunPlan | undefined;
  // The first runs had no choice of dtype.
  const plan = given && { ...given, dtype: given.dtype ?? "f32" };
  const counts = [plan?.steps, plan?.microBatch, plan?.accumulation].every((n) =>
    Number.isInteger(n) && n! > 0
  );
  const intervals = [plan?.evalEvery, plan?.saveEvery, plan?.sampleEvery, plan?.seed]
    .every((n) => Number.isInteger(n) && n! >= 0);
  const names = PRESET_NAMES.includes(plan?.preset!) && MODE_NAMES.includes(plan?.mode!) &&
    PRECISIONS.includes(plan?.dtype!) &&
    (plan?.tokenizer === "bytes" || plan?.tokenizer === "gpt2") && typeof plan?.data === "string";
  const isBudget = plan?.memoryBytes === undefined || plan.memoryBytes > 0;
  if (!counts || !intervals || !names || !isBudget || !(plan!.learningRate > 0)) {
    throw new CheckpointError(path, "trainer.json has no proper plan of a run");
  }
  return { ...plan!, model: config };
}
