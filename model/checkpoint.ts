/**
 * Checkpoints: `DIR/step-NNNNNN/` with the model as Hugging Face reads it (`model.safetensors`, `config.json`,
 * `tokenizer.json`) and beside it what a run needs to go on exactly (`trainer.safetensors`, `trainer.json`).
 *
 * A checkpoint is written into a folder of another name, every file synced, and then renamed: a step folder that exists
 * is whole, whenever the process died. One that is saved again is moved aside until the new one is in place. `trainer.json`
 * holds the size and SHA-256 of every other file, and of itself, so one that was damaged later is found out.
 *
 * @module
 */
import { basename, dirname, join } from "@std/path";
import type { ModelConfig } from "./config.ts";
import {
  exists,
  type FileRecord,
  hashText,
  isFileProblem,
  recordOf,
  removeIfThere,
  syncFolder,
  writeDurably,
} from "./durable_files.ts";
import { huggingFaceConfig } from "./huggingface/config.ts";
import { layoutParameters, type ParameterLayout } from "./params.ts";
import type { Schedules } from "./tuning.ts";
import {
  type NamedTensor,
  SafetensorsError,
  SafetensorsFile,
  writeAll,
  writeSafetensors,
} from "./safetensors.ts";

/** A checkpoint that cannot be used. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  /**
   * @param path The checkpoint.
   * @param problem What is wrong with it.
   */
  constructor(readonly path: string, readonly problem: string) {
    super(`checkpoint ${path}: ${problem}`);
  }
}

/** What a run needs besides the model: plain data, kept in `trainer.json`. */
export interface TrainerState {
  /** Optimizer steps that are done. */
  readonly step: number;
  /** Batches that have been used. */
  readonly position: number;
  readonly seed: number;
  /** The run's whole configuration; absent in an imported model. */
  readonly plan?: unknown;
  /** Schedules of the kernels of a step, by their keys: other ones change the run by rounding. */
  readonly schedules?: Schedules;
  /** Tells the run's tokens from others: `Batches.identity`. */
  readonly dataIdentity?: string;
}

/** A checkpoint in memory, to be written. */
export interface CheckpointContents {
  readonly config: ModelConfig;
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: string;
  /** Parameters by Hugging Face's names, without padded rows. */
  readonly parameters: readonly NamedTensor[];
  /** Optimizer moments: flat tensors. Absent where the model was not trained here, so no run can go on from it. */
  readonly optimizer?: readonly NamedTensor[];
  readonly trainer: TrainerState;
}

/** A checkpoint on disk that has been checked. */
export interface Checkpoint {
  readonly path: string;
  readonly config: ModelConfig;
  readonly tokenizer: string;
  readonly trainer: TrainerState;
  /** Whether the moments are there, which a run needs to go on. */
  readonly hasOptimizer: boolean;
}

const FORMAT = "sinter-checkpoint-1";
/** A folder with the ending was moved aside by a save that was killed before it could put another in its place. */
const STEP = /^step-(\d{6,})(\.replaced)?$/;
const REPLACED = ".replaced";
const TEMPORARY = /^\.tmp-step-\d+-\d+$/;
const FILES = ["model.safetensors", "config.json", "tokenizer.json"] as const;
const OPTIMIZER_FILE = "trainer.safetensors";

/** Name of a step's folder. */
export function stepFolder(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/**
 * Writes a checkpoint and returns its path. What a killed save has left behind is cleaned up.
 *
 * @throws {CheckpointError} when it cannot be written; nothing half-written stays, and what was there before is as it was.
 */
export async function saveCheckpoint(directory: string, contents: CheckpointContents): Promise<string> {
  const name = stepFolder(contents.trainer.step);
  const path = join(directory, name);
  const temporary = join(directory, `.tmp-${name}-${Deno.pid}`);
  try {
    await Deno.mkdir(directory, { recursive: true });
    await cleanUp(directory);
    await Deno.mkdir(temporary);
    await writeFiles(temporary, contents);
    await syncFolder(temporary);
    await putInPlace(temporary, path);
    await syncFolder(directory);
    return path;
  } catch (problem) {
    await removeIfThere(temporary).catch(() => {});
    throw new CheckpointError(path, `could not be written (${describe(problem)})`);
  }
}

async function writeFiles(folder: string, contents: CheckpointContents): Promise<void> {
  const { config, parameters, optimizer, tokenizer, trainer } = contents;
  const text = (value: string) => (file: Deno.FsFile) => writeAll(file, new TextEncoder().encode(value));
  const bodies: Record<string, (file: Deno.FsFile) => Promise<void>> = {
    "model.safetensors": (file) => writeSafetensors(file, parameters),
    "config.json": text(JSON.stringify(huggingFaceConfig(config), null, 2) + "\n"),
    "tokenizer.json": text(tokenizer),
    ...optimizer && { [OPTIMIZER_FILE]: (file: Deno.FsFile) => writeSafetensors(file, optimizer) },
  };
  const files: Record<string, FileRecord> = {};
  for (const [name, body] of Object.entries(bodies)) {
    files[name] = await writeDurably(join(folder, name), body);
  }
  const record = { format: FORMAT, ...trainer, model: config, files };
  const whole = { ...record, sha256: hashText(JSON.stringify(record)) };
  await writeDurably(join(folder, "trainer.json"), text(JSON.stringify(whole, null, 2) + "\n"));
}

/** Gives a finished folder its name. Folders cannot be exchanged at once, so at any moment one of the two is there. */
async function putInPlace(temporary: string, path: string): Promise<void> {
  const aside = path + REPLACED;
  if (!await exists(path)) return await Deno.rename(temporary, path);
  await Deno.rename(path, aside);
  try {
    await Deno.rename(temporary, path);
  } catch (problem) {
    await Deno.rename(aside, path);
    throw problem;
  }
  await removeIfThere(aside);
}

function describe(problem: unknown): string {
  const text = problem instanceof Error ? problem.message : String(problem);
  if (/os error 28|No space left/.test(text)) {
    return "the disk is full: free some space; earlier checkpoints are untouched";
  }
  return text;
}

/** Removes half-written folders, and puts back those that were moved aside and never replaced. */
async function cleanUp(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    const path = join(directory, name);
    if (TEMPORARY.test(name)) await removeIfThere(path);
    if (!STEP.exec(name)?.[2]) continue;
    const replacement = path.slice(0, -REPLACED.length);
    if (await exists(replacement)) await removeIfThere(path);
    else await Deno.rename(path, replacement);
  }
}

/** Step folders of a run, newest first. */
export async function listCheckpoints(directory: string): Promise<string[]> {
  const found: { path: string; step: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const match = STEP.exec(name);
      if (!match || !isDirectory) continue;
      const path = join(directory, name);
      if (match[2] && await exists(path.slice(0, -REPLACED.length))) continue;
      found.push({ path, step: Number(match[1]) });
    }
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound || problem instanceof Deno.errors.NotADirectory) return [];
    throw problem;
  }
  return found.sort((a, b) => b.step - a.step).map(({ path }) => path);
}

/** Steps of the checkpoint at a path that {@link listCheckpoints} gave. */
export function stepOf(path: string): number {
  return Number(STEP.exec(basename(path))![1]);
}

/** Removes a checkpoint: at once out of sight, then from the disk. */
export async function removeCheckpoint(path: string): Promise<void> {
  // The next save would clean up a folder of such a name, should this process die between the two.
  const aside = join(dirname(path), `.tmp-${stepFolder(stepOf(path))}-0`);
  await Deno.rename(path, aside);
  await Deno.remove(aside, { recursive: true });
}

/** The newest good checkpoint of a run, and those that were passed over because they are damaged. */
export interface Latest {
  readonly checkpoint?: Checkpoint;
  readonly rejected: readonly CheckpointError[];
}

/** Finds the newest checkpoint that can be used. */
export async function latestCheckpoint(directory: string): Promise<Latest> {
  const rejected: CheckpointError[] = [];
  for (const path of await listCheckpoints(directory)) {
    try {
      return { checkpoint: await openCheckpoint(path), rejected };
    } catch (problem) {
      if (!(problem instanceof CheckpointError)) throw problem;
      rejected.push(problem);
    }
  }
  return { rejected };
}

/** What a checkpoint says of itself. */
export interface CheckpointHead {
  readonly path: string;
  readonly step: number;
  readonly config: ModelConfig;
  /** When it was written. */
  readonly savedAt: Date;
}

/**
 * Reads what a checkpoint says of itself, without looking at its tensors: for lists.
 *
 * @throws {CheckpointError} when it is torn or not a checkpoint of this program.
 */
export async function readCheckpointHead(path: string): Promise<CheckpointHead> {
  const { step, model } = await readRecord(path);
  const { mtime } = await Deno.stat(join(path, "trainer.json"));
  return { path, step, config: configOf(path, model), savedAt: mtime ?? new Date(0) };
}

/**
 * Opens one step folder and checks all of it.
 *
 * @throws {CheckpointError} when it is torn, truncated, damaged, unreadable or not a checkpoint of this program.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  try {
    const record = await readRecord(path);
    const hasOptimizer = record.files[OPTIMIZER_FILE] !== undefined;
    for (const name of FILES) await checkFile(path, name, record.files[name]);
    if (hasOptimizer) await checkFile(path, OPTIMIZER_FILE, record.files[OPTIMIZER_FILE]);
    const config = configOf(path, record.model);
    const layout = layoutParameters(config);
    await checkModel(path, layout);
    if (hasOptimizer) await checkMoments(path, layout);
    const tokenizer = await Deno.readTextFile(join(path, "tokenizer.json"));
    const { step, position, seed, plan, schedules, dataIdentity } = record;
    const trainer = {
      step,
      position,
      seed,
      ...plan !== undefined && { plan },
      ...schedules && { schedules },
      ...dataIdentity !== undefined && { dataIdentity },
    };
    return { path, config, tokenizer, trainer, hasOptimizer };
  } catch (problem) {
    if (problem instanceof SafetensorsError) {
      throw new CheckpointError(path, `${basename(problem.path)}: ${problem.problem}`);
    }
    if (isFileProblem(problem)) throw new CheckpointError(path, `cannot be read (${problem.message})`);
    throw problem;
  }
}

async function checkFile(path: string, name: string, expected: FileRecord | undefined): Promise<void> {
  if (!expected) throw new CheckpointError(path, `trainer.json does not know ${name}`);
  let found: FileRecord;
  try {
    found = await recordOf(join(path, name));
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) throw new CheckpointError(path, `${name} is missing`);
    throw problem;
  }
  if (found.bytes !== expected.bytes) {
    throw new CheckpointError(
      path,
      `${name} has ${found.bytes} bytes, ${expected.bytes} were written: truncated or torn`,
    );
  }
  if (found.sha256 !== expected.sha256) {
    throw new CheckpointError(path, `${name} was changed after it was written`);
  }
}

/** More layers than this are a mistake, and would take long to lay out. */
const MAX_LAYERS = 10_000;

interface TrainerRecord extends TrainerState {
  readonly format: string;
  readonly model: Record<string, unknown>;
  readonly files: Record<string, FileRecord | undefined>;
  /** Of this record without this field. */
  readonly sha256: string;
}

async function readRecord(path: string): Promise<TrainerRecord> {
  if (!await exists(path)) throw new CheckpointError(path, "there is nothing of that name");
  let text: string;
  try {
    text = await Deno.readTextFile(join(path, "trainer.json"));
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound || problem instanceof Deno.errors.NotADirectory)) {
      throw problem;
    }
    throw new CheckpointError(path, "there is no trainer.json: not a checkpoint of Sinter's, or a torn one");
  }
  let record: TrainerRecord | null;
  try {
    record = JSON.parse(text);
  } catch {
    throw new CheckpointError(path, "trainer.json is not JSON: torn");
  }
  if (record?.format !== FORMAT) {
    throw new CheckpointError(path, `trainer.json has format ${record?.format}, expected ${FORMAT}`);
  }
  const { sha256, ...rest } = record;
  if (sha256 !== hashText(JSON.stringify(rest))) {
    throw new CheckpointError(path, "trainer.json was changed after it was written");
  }
  const counts = [record.step, record.position, record.seed];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0) || !record.files) {
    throw new CheckpointError(path, "trainer.json lacks step, position, seed or files");
  }
  const named = STEP.exec(basename(path))?.[1];
  if (named !== undefined && Number(named) !== record.step) {
    throw new CheckpointError(path, `it is of step ${record.step}: the folder was given another name`);
  }
  return record;
}

function configOf(path: string, model: Record<string, unknown>): ModelConfig {
  const { layers, width, heads, context, vocabulary } = model ?? {};
  const config = { layers, width, heads, context, vocabulary } as ModelConfig;
  const isProper = Object.values(config).every((value) => Number.isSafeInteger(value) && value > 0) &&
    config.layers <= MAX_LAYERS && config.width % config.heads === 0;
  if (!isProper) {
    throw new CheckpointError(path, "trainer.json has no proper model");
  }
  return config;
}

/** The model file must hold exactly the parameters of the configuration. */
async function checkModel(path: string, { parameters }: ParameterLayout): Promise<void> {
  using file = await SafetensorsFile.open(join(path, "model.safetensors"));
  for (const { name, shape, rows } of parameters) {
    checkTensor(path, file, name, [rows, ...shape.slice(1)]);
  }
  if (file.entries.size !== parameters.length) {
    throw new CheckpointError(
      path,
      `model.safetensors has ${file.entries.size} tensors, the model ${parameters.length}`,
    );
  }
}

/** The optimizer's moments must be as long as the flat parameters. */
async function checkMoments(path: string, { size }: ParameterLayout): Promise<void> {
  using file = await SafetensorsFile.open(join(path, OPTIMIZER_FILE));
  for (const name of ["m", "v"]) checkTensor(path, file, name, [size]);
}

function checkTensor(path: string, file: SafetensorsFile, name: string, shape: readonly number[]): void {
  const entry = file.entries.get(name);
  if (!entry) throw new CheckpointError(path, `${basename(file.path)} lacks ${name}`);
  if (entry.shape.join() !== shape.join()) {
    throw new CheckpointError(path, `${name} is [${entry.shape}], the model needs [${shape}]`);
  }
}

/** Reads every tensor of one of a checkpoint's two safetensors files. */
export async function readTensors(
  checkpoint: Checkpoint,
  file: "model.safetensors" | "trainer.safetensors",
): Promise<Map<string, Float32Array>> {
  using opened = await SafetensorsFile.open(join(checkpoint.path, file));
  const tensors = new Map<string, Float32Array>();
  for (const name of opened.entries.keys()) tensors.set(name, await opened.read(name));
  return tensors;
}
