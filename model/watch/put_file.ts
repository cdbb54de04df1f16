/**
 * Puts a file in place as a whole, or not at all.
 *
 * @module
 */
import { basename, dirname, join } from "@std/path";
import { exists, removeIfThere, syncFolder, writeDurably } from "../durable_files.ts";
import { writeAll } from "../safetensors.ts";

const UNFINISHED = ".tmp-";

/** Writes bytes under another name, synced, and renames them; what was there before stays until then. */
export async function putFile(path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path);
  await Deno.mkdir(folder, { recursive: true });
  const temporary = join(folder, `${UNFINISHED}${basename(path)}-${Deno.pid}`);
  try {
    await removeIfThere(temporary); // of a process of the same number that was killed
    await writeDurably(temporary, (file) => writeAll(file, bytes));
    await Deno.rename(temporary, path);
  } catch (problem) {
    await removeIfThere(temporary).catch(() => {});
    throw problem;
  }
  await syncFolder(folder);
}

/** Removes what processes that were killed have left in a folder that this process alone writes to. */
export async function removeUnfinished(folder: string): Promise<void> {
  if (!await exists(folder)) return;
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(UNFINISHED)) await removeIfThere(join(folder, name));
  }
}
