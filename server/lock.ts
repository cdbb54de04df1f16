/**
 * Keeps two servers from running the jobs of one folder. The system lets go of the lock when the process ends, however
 * it ends.
 *
 * @module
 */
import { join } from "@std/path";
import { InputError } from "../model/mod.ts";

/** How long the lock may take where nobody holds it, in milliseconds. */
const PATIENCE_MS = 500;

/**
 * Makes the folder and takes its lock, for as long as the file stays open.
 *
 * @throws {InputError} when another server holds it.
 */
export async function lockRuns(runs: string): Promise<Deno.FsFile> {
  const path = join(runs, "server.lock");
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(runs, { recursive: true });
    file = await Deno.open(path, { create: true, write: true });
  } catch (problem) {
    const why = problem instanceof Error ? problem.message.split("\n")[0] : String(problem);
    throw new InputError(`--runs ${runs}`, `it cannot be written to (${why})`, "take another folder");
  }
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), PATIENCE_MS);
  const isLocked = await Promise.race([file.lock(true).then(() => true), late.promise]);
  clearTimeout(timer);
  if (!isLocked) {
    throw new InputError(
      `--runs ${runs}`,
      "another server works in that folder",
      "stop it or take another folder",
    );
  }
  return file;
}
