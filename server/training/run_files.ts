/**
 * A job's checkpoints as files: which there are, and where. Names from requests are only ever compared with names that were
 * found in the folder, and whatever is not a plain file (a link above all) does not exist for clients.
 *
 * @module
 */
import { join } from "@std/path";
import { listCheckpoints, removeCheckpoint as removeFolder, stepOf } from "../../model/checkpoint.ts";
import type { JobCheckpoint } from "../services.ts";

/** Checkpoints of the run in a directory, newest first. */
export async function findCheckpoints(run: string): Promise<JobCheckpoint[]> {
  if (!await isPlainFolder(run)) return [];
  const checkpoints: JobCheckpoint[] = [];
  for (const path of await listCheckpoints(run)) {
    const checkpoint = await describe(path);
    if (checkpoint) checkpoints.push(checkpoint);
  }
  return checkpoints;
}

/** The checkpoint of a step; undefined when there is none. */
export async function findCheckpoint(run: string, step: number): Promise<JobCheckpoint | undefined> {
  const path = await folderOf(run, step);
  return path === undefined ? undefined : await describe(path);
}

/** Path of a checkpoint's file; undefined when there is none. */
export async function findCheckpointFile(
  run: string,
  step: number,
  name: string,
): Promise<string | undefined> {
  const path = await folderOf(run, step);
  const files = path === undefined ? undefined : (await describe(path))?.files;
  return files?.some((file) => file.name === name) ? join(path!, name) : undefined;
}

/** Removes the checkpoint of a step, if there is one. */
export async function removeCheckpoint(run: string, step: number): Promise<void> {
  const path = await folderOf(run, step);
  if (path !== undefined) await removeFolder(path);
}

async function folderOf(run: string, step: number): Promise<string | undefined> {
  if (!await isPlainFolder(run)) return undefined;
  const paths = await listCheckpoints(run);
  return paths.find((path) => stepOf(path) === step);
}

async function isPlainFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.lstat(path)).isDirectory;
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return false;
    throw problem;
  }
}

/** Undefined when it has been removed meanwhile. */
async function describe(path: string): Promise<JobCheckpoint | undefined> {
  try {
    const files: { name: string; bytes: number }[] = [];
    let savedAt = 0;
    for await (const { name, isFile } of Deno.readDir(path)) {
      if (!isFile) continue;
      const { size, mtime } = await Deno.lstat(join(path, name));
      files.push({ name, bytes: size });
      savedAt = Math.max(savedAt, mtime?.getTime() ?? 0);
    }
    files.sort((a, b) => a.name < b.name ? -1 : 1);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const step = stepOf(path);
    return { step, savedAt: new Date(savedAt).toISOString(), bytes, files };
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
}
