/**
 * Climbs the ladder: the rungs' training steps are compiled and checked first, then timed in rounds, each rung once a
 * round, so that a machine that is busy for a while disturbs all of them alike.
 *
 * @module
 */
import { LimitError, type Program } from "../compiler/mod.ts";
import { type GpuDevice, GpuError } from "../runtime/mod.ts";
import type { StepCase } from "./cases.ts";
import { compileStep } from "./compile_step.ts";
import { type Spread, spreadOf } from "./measure.ts";
import { PRECISION_RUNG, type Rung } from "./rungs.ts";
import { TrainingRun } from "./training.ts";

/** Steps whose losses are recorded before anything is timed; the first of them pays for the driver's compiling. */
export const LOSS_STEPS = 3;

/** A rung whose step takes longer, in milliseconds, is visited in a few rounds only. */
const SLOW_MS = 2000;
const SLOW_ROUNDS = 3;
/** Measurements of each of two rungs, in turn, that decide which precision the ladder goes on with. */
const DUEL_ROUNDS = 3;

/** One rung's figures. What could not be measured says why in `note`. */
export interface RungResult {
  readonly name: string;
  readonly title: string;
  /** `same`: the compiler made the same program as the rung that `note` names, whose times stand here again. */
  readonly status: "measured" | "same" | "unavailable" | "too large" | "failed";
  readonly note?: string;
  readonly dtype: string;
  readonly ms?: Spread;
  readonly tokensPerSecond?: number;
  /** Launches of a step. */
  readonly dispatches?: number;
  readonly kernels?: number;
  /** Bytes read and written by all launches of a step, as the compiler counts them. */
  readonly bytesMoved?: number;
  readonly flops?: number;
  /** Most bytes held at once, planned; and the least that any plan needs. */
  readonly peakBytes?: number;
  readonly lowerBoundBytes?: number;
  /** Tracing and compiling to WGSL, in milliseconds. */
  readonly compileMs?: number;
  /** Losses of the first {@link LOSS_STEPS} steps. */
  readonly losses?: readonly number[];
}

/** How to climb. */
export interface LadderOptions {
  readonly rungs: readonly Rung[];
  readonly rounds: number;
  /** Steps whose losses are recorded, {@link LOSS_STEPS} unless said. */
  readonly lossSteps?: number;
  /** Bytes of the device that may be used; no limit unless said. */
  readonly budgetBytes?: number;
  /** Bytes that loaded rungs may hold together from round to round; others are loaded anew for each visit. */
  readonly keepBytes?: number;
  /** Milliseconds for the tuner; its own choice unless said. */
  readonly tuneMs?: number;
  /** Told in a line what is going on. */
  readonly progress?: (line: string) => void;
}

interface Climber {
  readonly rung: Rung;
  readonly program: Program;
  readonly compileMs: number;
  readonly note?: string;
  readonly losses: readonly number[];
  readonly times: number[];
  /** Milliseconds that a step took before the rounds. */
  readonly about: number;
  run?: TrainingRun;
  /** What went wrong when it was timed; it is out of the race then. */
  failure?: string;
}

/** A rung in work: measured, or out of the race. */
type Entry = { readonly climber: Climber; readonly same?: string } | { readonly result: RungResult };

/** Measures every rung on one case. Never throws for a rung: its failure is its result. */
export async function climbLadder(
  device: GpuDevice,
  shape: StepCase,
  options: LadderOptions,
): Promise<RungResult[]> {
  const { rungs, rounds, keepBytes = Infinity, progress = () => {} } = options;
  const entries: Entry[] = [];
  const climbers: Climber[] = [];
  let held = 0;
  let precision: Rung["recipe"]["precision"] = "f32";
  const visitOne = async (climber: Climber) => {
    if (climber.failure !== undefined) return;
    try {
      await visit(device, shape, climber);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      climber.failure = error.message;
    }
    if (held > keepBytes || climber.failure !== undefined) release(climber);
  };
  try {
    for (const { name, title, recipe } of rungs) {
      progress(`${shape.name}: ${title}`);
      const rung = { name, title, recipe: name === PRECISION_RUNG ? recipe : { ...recipe, precision } };
      const entry = await prepare(device, shape, rung, climbers, options);
      entries.push(entry);
      if (name === PRECISION_RUNG) precision = await fasterPrecision(visitOne, climbers.at(-1), entry);
      if (!("climber" in entry) || entry.same !== undefined) continue;
      climbers.push(entry.climber);
      held += entry.climber.program.memory.peakBytes;
      if (held > keepBytes) climbers.forEach(release);
    }
    for (let round = 0; round < rounds; round++) {
      progress(`${shape.name}: round ${round + 1} of ${rounds}`);
      for (const climber of climbers) {
        if (round >= SLOW_ROUNDS && climber.about > SLOW_MS) continue;
        await visitOne(climber);
      }
    }
  } finally {
    climbers.forEach(release);
  }
  return entries.map((entry) =>
    "result" in entry ? entry.result : resultOf(shape, entry.climber, entry.same)
  );
}

/** The precision of the quicker one of two rungs, in the best of a few steps in turn. */
async function fasterPrecision(
  visitOne: (climber: Climber) => Promise<void>,
  below: Climber | undefined,
  entry: Entry,
): Promise<Rung["recipe"]["precision"]> {
  if (!("climber" in entry)) return "f32";
  if (!below) return "f16";
  const rivals = [below, entry.climber];
  for (let round = 0; round < DUEL_ROUNDS; round++) {
    for (const rival of rivals) await visitOne(rival);
  }
  const [f32, f16] = rivals.map(({ times }) => Math.min(Infinity, ...times));
  // What was measured before the rounds is not a part of them.
  for (const { times } of rivals) times.length = 0;
  return f16 < f32 ? "f16" : "f32";
}

/** Compiles a rung, loads it and trains its first steps. */
async function prepare(
  device: GpuDevice,
  shape: StepCase,
  rung: Rung,
  others: readonly Climber[],
  { budgetBytes = Infinity, lossSteps = LOSS_STEPS, tuneMs }: LadderOptions,
): Promise<Entry> {
  const { recipe } = rung;
  const out = (status: RungResult["status"], note: string, program?: Program): Entry => ({
    result: { ...identityOf(rung), status, note, ...(program && planOf(program)) },
  });
  let program: Program | undefined;
  if (recipe.precision === "f16" && !device.capabilities.f16) {
    return out("unavailable", "the adapter has no 16-bit floats");
  }
  try {
    const compiled = await compileStep(device, shape, rung, tuneMs);
    program = compiled.program;
    const same = others.find((other) => isSame(other.program, program!));
    if (same) return { climber: { ...same, rung, note: compiled.tuning }, same: same.rung.name };
    const { peakBytes } = program.memory;
    if (peakBytes > budgetBytes) {
      return out("too large", `needs ${gib(peakBytes)}, there are ${gib(budgetBytes)}`, program);
    }
    const run = await TrainingRun.load(device, shape, recipe, program);
    const losses: number[] = [];
    let about = Infinity;
    for (let step = 0; step < lossSteps; step++) {
      const before = performance.now();
      losses.push(await run.loss());
      // The first step pays for the driver's compiling.
      if (step > 0) about = Math.min(about, performance.now() - before);
    }
    const { compileMs, tuning: note } = compiled;
    return { climber: { rung, program, compileMs, note, losses, times: [], about, run } };
  } catch (error) {
    if (error instanceof LimitError) return out("too large", error.message, program);
    if (error instanceof GpuError && error.kind === "out-of-memory") {
      return out("too large", error.message, program);
    }
    if (!(error instanceof Error)) throw error;
    return out("failed", error.message, program);
  }
}

/** Times a rung once, loading it before where it is not there. */
async function visit(device: GpuDevice, shape: StepCase, climber: Climber): Promise<void> {
  if (!climber.run) {
    climber.run = await TrainingRun.load(device, shape, climber.rung.recipe, climber.program);
    await climber.run.loss();
  }
  climber.times.push(await climber.run.time(climber.about));
}

/** Schedules are no part of a program's hash: a tuned program has other kernels under the same one. */
function isSame(a: Program, b: Program): boolean {
  return a.hash === b.hash && a.kernels.every(({ wgsl }, i) => wgsl === b.kernels[i].wgsl);
}

function release(climber: Climber): void {
  climber.run?.destroy();
  climber.run = undefined;
}

function identityOf({ name, title, recipe }: Rung) {
  return { name, title, dtype: recipe.precision };
}

function planOf({ dispatches, kernels, memory }: Program) {
  return {
    dispatches: dispatches.length,
    kernels: kernels.length,
    bytesMoved: dispatches.reduce((sum, { bytes }) => sum + bytes, 0),
    flops: dispatches.reduce((sum, { flops }) => sum + flops, 0),
    peakBytes: memory.peakBytes,
    lowerBoundBytes: memory.lowerBoundBytes,
  };
}

function resultOf(shape: StepCase, climber: Climber, same?: string): RungResult {
  const { rung, program, compileMs, losses, times } = climber;
  const note = [same && `the same program as ${same}`, climber.note].filter(Boolean).join("; ") || undefined;
  if (climber.failure !== undefined) {
    return { ...identityOf(rung), status: "failed", note: climber.failure, ...planOf(program), losses };
  }
  const ms = spreadOf(times);
  return {
    ...identityOf(rung),
    status: same === undefined ? "measured" : "same",
    ...(note === undefined ? {} : { note }),
    ms,
    tokensPerSecond: shape.batch * shape.context / ms.median * 1e3,
    ...planOf(program),
    compileMs,
    losses,
  };
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Relative difference that losses of rungs may have, by dtype: rounding, and in f16 a step that may not count. */
const TOLERANCE: Readonly<Record<string, number>> = { f32: 1e-4, f16: 2e-2 };

/** Says which rung's losses are not those of the first one, to rounding; undefined when all agree. */
export function disagreement(rungs: readonly RungResult[]): string | undefined {
  const first = rungs.find(({ losses }) => losses);
  for (const { title, dtype, losses } of rungs) {
    for (const [step, loss] of losses?.entries() ?? []) {
      const expected = first!.losses![step];
      // Written so that NaN counts as different.
      if (Math.abs(loss - expected) <= TOLERANCE[dtype] * Math.abs(expected)) continue;
      return `losses: ${title} has ${loss} in step ${step + 1}, ${first!.title} has ${expected}`;
    }
  }
  return undefined;
}
