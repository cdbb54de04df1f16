/**
 * A model's weights, wherever they lie: in a run (its newest good checkpoint), in one of its step folders, or in Hugging Face's files. Whoever needs a
 * trained model and not the run that made it (evaluation, generation, a new run that starts from it) opens it here.
 *
 * @module
 */
import { basename, dirname, resolve } from "@std/path";
import {
  type Checkpoint,
  CheckpointError,
  latestCheckpoint,
  listCheckpoints,
  openCheckpoint,
  readTensors,
} from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { isHuggingFaceFolder, openHuggingFace } from "./huggingface/open.ts";

/** Weights that have been checked and can be read. */
export interface Weights {
  /** Folder that they lie in. */
  readonly path: string;
  /** What to call the model: the run's name. */
  readonly name: string;
  /** Steps of training that are in them, where that is known. */
  readonly step?: number;
  /** The model's sizes. */
  readonly config: ModelConfig;
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: string;
  /** Reads them: parameters by the names of `params.ts`, in f32, without padded rows. */
  read(): Promise<ReadonlyMap<string, Float32Array>>;
}

/** Options of {@link openWeights}. */
export interface WeightsOptions {
  /** The flag that named the path, for messages; `--checkpoint` by default. */
  readonly flag?: string;
  /** Is told what was passed over because it is damaged. */
  readonly notify?: (text: string) => void;
}

/**
 * Opens the weights at a path: a run's newest good checkpoint, a step folder, or a folder of Hugging Face's files.
 *
 * @throws {InputError} when there is nothing of that name, or a damaged step folder for which there is an older one.
 * @throws {CheckpointError} when a checkpoint cannot be used.
 * @throws {SafetensorsError} when a file of tensors cannot.
 */
export async function openWeights(path: string, options: WeightsOptions = {}): Promise<Weights> {
  if (await isHuggingFaceFolder(path)) return await openHuggingFace(path);
  return weightsOf(await findCheckpoint(path, options));
}

/** The weights of a checkpoint. */
export function weightsOf(checkpoint: Checkpoint): Weights {
  const { path, config, tokenizer, trainer } = checkpoint;
  return {
    path,
    name: basename(dirname(resolve(path))),
    step: trainer.step,
    config,
    tokenizer,
    read: () => readTensors(checkpoint, "model.safetensors"),
  };
}

async function findCheckpoint(
  path: string,
  { flag = "--checkpoint", notify = () => {} }: WeightsOptions,
): Promise<Checkpoint> {
  if ((await listCheckpoints(path)).length > 0) {
    const { checkpoint, rejected } = await latestCheckpoint(path);
    if (!checkpoint) throw rejected[0];
    for (const { message } of rejected) notify(`refused: ${message}`);
    return checkpoint;
  }
  try {
    await Deno.stat(path);
  } catch {
    throw new InputError(
      `${flag} ${path}`,
      "there is no such directory",
      "name one that deno task train has made",
    );
  }
  try {
    return await openCheckpoint(path);
  } catch (problem) {
    if (!(problem instanceof CheckpointError)) throw problem;
    const older = await olderThan(path);
    throw older ? new InputError(problem.message, "refused", `the next older one is ${older}`) : problem;
  }
}

/** The newest good checkpoint beside a damaged one that is older than it. */
async function olderThan(path: string): Promise<string | undefined> {
  const parent = path.replace(/[/\\]+$/, "").replace(/[/\\]?[^/\\]+$/, "") || ".";
  for (const other of (await listCheckpoints(parent)).filter((other) => other < path)) {
    if (await openCheckpoint(other).then(() => true, () => false)) return other;
  }
}
