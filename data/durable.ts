/**
 * Files that are there whole or not at all, whatever happens to the process or the machine, and what tells them apart.
 *
 * @module
 */
import { encodeHex } from "@std/encoding";
import { dirname } from "@std/path";
import { createHash } from "node:crypto";

/** What a file is. */
export interface FileSum {
  /** Its size. */
  readonly bytes: number;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
}

/** Puts a text in a file's place: written beside it, synced, renamed. */
export async function writeTextDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  {
    using file = await Deno.open(temporary, { create: true, write: true, truncate: true });
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    await file.sync();
  }
  await Deno.rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Waits until a folder's entries are on the disk. Windows and some network file systems cannot do that. */
export async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path);
    await folder.sync();
  } catch {
    // the files themselves are synced
  }
}

/** Size and SHA-256 of a file. */
export async function sumFile(path: string, signal?: AbortSignal): Promise<FileSum> {
  using file = await Deno.open(path);
  return await sumOpenFile(file, signal);
}

/** Size and SHA-256 of a file that is open, from its beginning. */
export async function sumOpenFile(file: Deno.FsFile, signal?: AbortSignal): Promise<FileSum> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0;
  await file.seek(0, Deno.SeekMode.Start);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    signal?.throwIfAborted();
    hash.update(buffer.subarray(0, read));
    bytes += read;
  }
  return { bytes, sha256: encodeHex(hash.digest()) };
}
