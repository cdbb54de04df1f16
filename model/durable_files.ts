/**
 * Files and folders that must survive whatever happens to the process or the machine: written, synced, and measured for
 * later comparison.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** What a file was when it was written. */
export interface FileRecord {
  readonly bytes: number;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
}

/** Creates a file, fills it by `body`, and waits until it is on the disk. */
export async function writeDurably(
  path: string,
  body: (file: Deno.FsFile) => Promise<void>,
): Promise<FileRecord> {
  {
    using file = await Deno.open(path, { write: true, createNew: true });
    await body(file);
    await file.sync();
  }
  return await recordOf(path);
}

/** Measures a file as it is now. */
export async function recordOf(path: string): Promise<FileRecord> {
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

/** SHA-256 of a text, in lower-case hexadecimal. */
export function hashText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * Waits until a folder's own entries are on the disk, without which a rename in it may not survive a power cut. Windows and
 * some network file systems (errors EINVAL and ENOTSUP) have no such thing.
 */
export async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path);
    await folder.sync();
  } catch (problem) {
    if (Deno.build.os !== "windows" && !/os error (22|45|95)\b/.test(String(problem))) throw problem;
  }
}

/** Whether there is anything of that name. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return false;
    throw problem;
  }
}

/** Removes a file or a folder with all that is in it, if it is there. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) throw problem;
  }
}

/** True for what the file system refuses, as opposed to a mistake of ours. */
export function isFileProblem(problem: unknown): problem is Error {
  return problem instanceof Error &&
    (Object.hasOwn(Deno.errors, problem.name) || /os error \d+/.test(problem.message));
}
