/**
 * Where the page's steps come from: a run's checkpoints, its light snapshots, or a single model.
 *
 * @module
 */
import { basename, join, resolve } from "@std/path";
import { tokenizerFromFile } from "../../data/mod.ts";
import { listCheckpoints, openCheckpoint, stepOf } from "../checkpoint.ts";
import type { ModelConfig } from "../config.ts";
import { exists } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { type Weights, weightsOf } from "../weights.ts";
import { listSnapshots, readSnapshot } from "./snapshot.ts";
import { type Snapshot, SnapshotError } from "./snapshot_format.ts";

/** A run on disk. */
export interface RunFolder {
  /** The folder. */
  readonly path: string;
  readonly name: string;
  /** Its checkpoints, oldest first. */
  readonly checkpoints: readonly { readonly path: string; readonly step: number }[];
  /** Its snapshots, oldest first. */
  readonly snapshots: readonly { readonly path: string; readonly step: number }[];
}

/** Folder of runs that are given by name. */
const RUNS = "runs";

/**
 * Finds a run by its name or its folder.
 *
 * @param given As the user wrote it.
 * @param path That as a path of this process.
 * @throws {InputError} when there is no such run, or nothing in it to look at.
 */
export async function findRun(given: string, path: string): Promise<RunFolder> {
  const folder = await exists(path) ? path : join(RUNS, given);
  const wrong = (problem: string) =>
    new InputError(`--run ${given}`, problem, "name a folder that deno task train has made, or one in runs/");
  if (!await exists(folder)) throw wrong("there is no such run");
  const checkpoints = (await listCheckpoints(folder)).reverse()
    .map((path) => ({ path, step: stepOf(path) }));
  const snapshots = await listSnapshots(folder);
  if (checkpoints.length + snapshots.length === 0) throw wrong("there are neither checkpoints nor snapshots");
  return { path: folder, name: basename(resolve(folder)), checkpoints, snapshots };
}

/** `0,50,100-200` as a test of steps. */
export type StepChoice = (step: number) => boolean;

/**
 * Parses a list of steps and ranges.
 *
 * @throws {InputError} when it is none.
 */
export function parseSteps(text: string): StepChoice {
  const ranges = text.split(",").map((part) => {
    const match = /^\s*(\d+)(?:-(\d+)?)?\s*$/.exec(part);
    const from = Number(match?.[1]);
    const to = match?.[2] !== undefined ? Number(match[2]) : part.includes("-") ? Infinity : from;
    if (!match || to < from) {
      throw new InputError(
        `--steps ${text}`,
        `${JSON.stringify(part)} is neither a step nor a range`,
        "write such as 0,50,100-200 or 1000-",
      );
    }
    return { from, to };
  });
  return (step) => ranges.some(({ from, to }) => step >= from && step <= to);
}

/** At most `most` of some things, spread evenly, with the first and the last. */
export function spread<T>(all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all];
  if (most === 1) return [all.at(-1)!];
  return Array.from({ length: most }, (_, i) => all[Math.round(i * (all.length - 1) / (most - 1))]);
}

/**
 * Opens checkpoints one after the other, oldest first; those that are damaged are passed over.
 *
 * @throws {InputError} when one has another model than the first: the run's folder holds two runs.
 */
export async function* openedWeights(
  checkpoints: RunFolder["checkpoints"],
  notify: (text: string) => void,
): AsyncGenerator<Weights & { readonly step: number }> {
  let first: ModelConfig | undefined;
  for (const { path, step } of checkpoints) {
    let weights: Weights;
    try {
      weights = weightsOf(await openCheckpoint(path));
    } catch (problem) {
      if (!(problem instanceof Error) || problem.name !== "CheckpointError") throw problem;
      notify(`passed over: ${problem.message}`);
      continue;
    }
    first ??= weights.config;
    if (!isSameModel(first, weights.config)) {
      throw new InputError(path, "its model has other sizes than those before", "choose others with --steps");
    }
    yield { ...weights, step };
  }
}

/**
 * Reads snapshots that have the newest one's model and prompt; those that are damaged are passed over.
 *
 * @throws {InputError} when none is left.
 */
export async function readSnapshots(
  files: RunFolder["snapshots"],
  notify: (text: string) => void,
): Promise<Snapshot[]> {
  const read: Snapshot[] = [];
  const rejected: string[] = [];
  for (const { path } of [...files].reverse()) {
    try {
      const snapshot = await readSnapshot(path);
      const [newest = snapshot] = read;
      if (isAlike(newest, snapshot)) read.push(snapshot);
      else rejected.push(`${path} has another prompt, model or tensors than the newest one`);
    } catch (problem) {
      if (!(problem instanceof SnapshotError)) throw problem;
      rejected.push(problem.message);
    }
  }
  if (read.length === 0) {
    throw new InputError(
      rejected[0],
      "none of the run's snapshots that were chosen can be used",
      "choose others with --steps, or take --from checkpoints with a --prompt",
    );
  }
  for (const text of rejected) notify(`passed over: ${text}`);
  return read.reverse();
}

/** The newest snapshot that is whole, if there is one. */
export async function newestSnapshot(files: RunFolder["snapshots"]): Promise<Snapshot | undefined> {
  for (const { path } of [...files].reverse()) {
    try {
      return await readSnapshot(path);
    } catch (problem) {
      if (!(problem instanceof SnapshotError)) throw problem;
    }
  }
}

/** The tokenizer of weights. */
export async function tokenizerOf({ path, tokenizer }: Pick<Weights, "path" | "tokenizer">) {
  return await tokenizerFromFile(join(path, "tokenizer.json"), tokenizer);
}

function isAlike(a: Snapshot, b: Snapshot): boolean {
  return a.prompt.join() === b.prompt.join() && a.tensors.join() === b.tensors.join() &&
    isSameModel(a.model, b.model);
}

function isSameModel(a: ModelConfig, b: ModelConfig): boolean {
  return a.layers === b.layers && a.width === b.width && a.heads === b.heads && a.context === b.context &&
    a.vocabulary === b.vocabulary;
}
