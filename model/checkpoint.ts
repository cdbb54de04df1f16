/**
 * Checkpoints: `DIR/step-NNNNNN/` with the model as Hugging Face reads it (`model.safetensors`, `config.json`,
 * `tokenizer.json`) and beside it what a run needs to go on exactly (`trainer.safetensors`, `trainer.json`).
 *
 * A checkpoint is written into a folder of another name, every file synced, and then renamed: a step folder that exists
 * is whole, whenever the process died. `trainer.json` holds the size and SHA-256 of every other file, so one that was
 * damaged later is found out.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "@std/path";
import { LAYER_NORM_EPSILON, type ModelConfig } from "./config.ts";
import { layoutParameters } from "./params.ts";
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
  /** The run's whole configuration. */
  readonly plan: unknown;
}

/** A checkpoint in memory, to be written. */
export interface CheckpointContents {
  readonly config: ModelConfig;
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: string;
  /** Parameters by Hugging Face's names, without padded rows. */
  readonly parameters: readonly NamedTensor[];
  /** Optimizer moments: flat tensors. */
  readonly optimizer: readonly NamedTensor[];
  readonly trainer: TrainerState;
}

/** A checkpoint on disk that has been checked. */
export interface Checkpoint {
  readonly path: string;
  readonly config: ModelConfig;
  readonly tokenizer: string;
  readonly trainer: TrainerState;
}

const FORMAT = "sinter-checkpoint-1";
const STEP = /^step-(\d{6,})$/;
const TEMPORARY = /^\.tmp-step-\d+-\d+$/;
const FILES = ["model.safetensors", "config.json", "tokenizer.json", "trainer.safetensors"] as const;

interface FileRecord {
  readonly bytes: number;
  readonly sha256: string;
}

/** Name of a step's folder. */
export function stepFolder(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/**
 * Writes a checkpoint and returns its path. Folders that a killed save has left behind are removed.
 *
 * @throws {CheckpointError} when it cannot be written; nothing half-written stays.
 */
export async function saveCheckpoint(directory: string, contents: CheckpointContents): Promise<string> {
  const { trainer } = contents;
  const path = join(directory, stepFolder(trainer.step));
  const temporary = join(directory, `.tmp-${stepFolder(trainer.step)}-${Deno.pid}`);
  try {
    await Deno.mkdir(directory, { recursive: true });
    await removeLeftovers(directory);
    await Deno.mkdir(temporary);
    const files: Record<string, FileRecord> = {};
    const write = async (name: string, body: (file: Deno.FsFile) => Promise<void>) => {
      files[name] = await writeFile(join(temporary, name), body);
    };
    const text = (value: string) => (file: Deno.FsFile) => writeAll(file, new TextEncoder().encode(value));
    await write("model.safetensors", (file) => writeSafetensors(file, contents.parameters));
    await write("config.json", text(JSON.stringify(huggingFaceConfig(contents.config), null, 2) + "\n"));
    await write("tokenizer.json", text(contents.tokenizer));
    await write("trainer.safetensors", (file) => writeSafetensors(file, contents.optimizer));
    const record = JSON.stringify({ format: FORMAT, ...trainer, model: contents.config, files }, null, 2);
    await writeFile(join(temporary, "trainer.json"), text(record + "\n"));
    await syncFolder(temporary);
    await removeIfThere(path);
    await Deno.rename(temporary, path);
    await syncFolder(directory);
    return path;
  } catch (problem) {
    await removeIfThere(temporary).catch(() => {});
    throw new CheckpointError(path, `could not be written (${describe(problem)})`);
  }
}

function describe(problem: unknown): string {
  const text = problem instanceof Error ? problem.message : String(problem);
  if (/os error 28|No space left/.test(text)) {
    return "the disk is full: free some space; earlier checkpoints are untouched";
  }
  return text;
}

async function writeFile(path: string, body: (file: Deno.FsFile) => Promise<void>): Promise<FileRecord> {
  const file = await Deno.open(path, { write: true, createNew: true });
  try {
    await body(file);
    await file.sync();
  } finally {
    file.close();
  }
  return await recordOf(path);
}

async function recordOf(path: string): Promise<FileRecord> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0;
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    hash.update(buffer.subarray(0, read));
    bytes += read;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** A folder's own entry must reach the disk for a rename in it to survive a power cut; not every system lets us. */
async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path);
    await folder.sync();
  } catch (problem) {
    if (Deno.build.os !== "windows") throw problem;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) throw problem;
  }
}

async function removeLeftovers(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    if (TEMPORARY.test(name)) await removeIfThere(join(directory, name));
  }
}

/** Step folders of a run, newest first. */
export async function listCheckpoints(directory: string): Promise<string[]> {
  const found: { path: string; step: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const match = STEP.exec(name);
      if (match && isDirectory) found.push({ path: join(directory, name), step: Number(match[1]) });
    }
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound || problem instanceof Deno.errors.NotADirectory) return [];
    throw problem;
  }
  return found.sort((a, b) => b.step - a.step).map(({ path }) => path);
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

/**
 * Opens one step folder and checks all of it.
 *
 * @throws {CheckpointError} when it is torn, truncated, damaged or not a checkpoint of this program.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const record = await readRecord(path);
  for (const name of FILES) {
    const expected = record.files[name];
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
  const config = configOf(path, record.model);
  await checkTensors(path, config);
  const { step, position, seed, plan } = record;
  return {
    path,
    config,
    tokenizer: await Deno.readTextFile(join(path, "tokenizer.json")),
    trainer: { step, position, seed, plan },
  };
}

interface TrainerRecord extends TrainerState {
  readonly format: string;
  readonly model: Record<string, unknown>;
  readonly files: Record<string, FileRecord | undefined>;
}

async function readRecord(path: string): Promise<TrainerRecord> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(path, "trainer.json"));
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound || problem instanceof Deno.errors.NotADirectory) {
      throw new CheckpointError(
        path,
        "there is no trainer.json: not a checkpoint of Sinter's, or a torn one",
      );
    }
    throw problem;
  }
  let record: TrainerRecord;
  try {
    record = JSON.parse(text);
  } catch {
    throw new CheckpointError(path, "trainer.json is not JSON: torn");
  }
  if (record?.format !== FORMAT) {
    throw new CheckpointError(path, `trainer.json has format ${record?.format}, expected ${FORMAT}`);
  }
  const counts = [record.step, record.position, record.seed];
  if (
    !counts.every((count) => Number.isSafeInteger(count) && count >= 0) || typeof record.files !== "object"
  ) {
    throw new CheckpointError(path, "trainer.json lacks step, position, seed or files");
  }
  return record;
}

function configOf(path: string, model: Record<string, unknown>): ModelConfig {
  const { layers, width, heads, context, vocabulary } = model ?? {};
  const config = { layers, width, heads, context, vocabulary } as ModelConfig;
  if (!Object.values(config).every((value) => Number.isSafeInteger(value) && value > 0)) {
    throw new CheckpointError(path, "trainer.json has no proper model");
  }
  return config;
}

/** The model file must hold exactly the parameters of the configuration. */
async function checkTensors(path: string, config: ModelConfig): Promise<void> {
  const { parameters } = layoutParameters(config);
  try {
    using file = await SafetensorsFile.open(join(path, "model.safetensors"));
    for (const { name, shape, rows } of parameters) {
      const entry = file.entries.get(name);
      const expected = [rows, ...shape.slice(1)];
      if (!entry) throw new CheckpointError(path, `model.safetensors lacks ${name}`);
      if (entry.shape.join() !== expected.join()) {
        throw new CheckpointError(path, `${name} is [${entry.shape}], the model needs [${expected}]`);
      }
    }
    if (file.entries.size !== parameters.length) {
      throw new CheckpointError(
        path,
        `model.safetensors has ${file.entries.size} tensors, the model ${parameters.length}`,
      );
    }
  } catch (problem) {
    if (problem instanceof SafetensorsError) throw new CheckpointError(path, problem.message);
    throw problem;
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

/** `config.json` as transformers writes it for a GPT-2. */
function huggingFaceConfig(
  { layers, width, heads, context, vocabulary }: ModelConfig,
): Record<string, unknown> {
  const endOfText = vocabulary === 50_257 ? 50_256 : null;
  return {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    activation_function: "gelu_new",
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    initializer_range: 0.02,
    layer_norm_epsilon: LAYER_NORM_EPSILON,
    n_ctx: context,
    n_embd: width,
    n_head: heads,
    n_inner: null,
    n_layer: layers,
    n_positions: context,
    tie_word_embeddings: true,
    torch_dtype: "float32",
    vocab_size: vocabulary,
  };
}
