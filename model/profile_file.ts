/**
 * The file of a profile: found to be writable before a run begins, and written under another name, synced and renamed, so
 * that whoever opens it sees a whole one.
 *
 * @module
 */
import { basename, dirname, join } from "@std/path";
import { removeIfThere, syncFolder, writeDurably } from "./durable_files.ts";
import { InputError } from "./errors.ts";
import { writeAll } from "./safetensors.ts";

/**
 * Makes the file's folder, and finds out whether a file can be written there.
 *
 * @throws {InputError} when it cannot.
 */
export async function checkProfilePath(path: string): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    const there = await Deno.stat(path).catch(() => undefined);
    if (there?.isDirectory) throw new Error("it is a directory");
    const temporary = temporaryFor(path);
    await writeDurably(temporary, () => Promise.resolve());
    await Deno.remove(temporary);
  } catch (problem) {
    const { message } = problem as Error;
    throw new InputError(
      `--profile ${path}`,
      `cannot be written (${message})`,
      "name a file in a folder that you may write to",
    );
  }
}

/** Writes the file, in place of what was there. When that fails, nothing half-written stays. */
export async function writeProfile(path: string, text: string): Promise<void> {
  const temporary = temporaryFor(path);
  try {
    await removeIfThere(temporary);
    await writeDurably(temporary, (file) => writeAll(file, new TextEncoder().encode(text)));
    await Deno.rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (problem) {
    await removeIfThere(temporary).catch(() => {});
    throw problem;
  }
}

function temporaryFor(path: string): string {
  return join(dirname(path), `.tmp-${basename(path)}-${Deno.pid}`);
}
