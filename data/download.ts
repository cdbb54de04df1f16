/**
 * Files that are downloaded once: checked against a known size and SHA-256, and kept in the user's cache folder under a
 * name that appears only when the file is whole.
 *
 * @module
 */
import { encodeHex } from "@std/encoding";
import { dirname, join } from "@std/path";
import { DataError } from "./errors.ts";

/** A published file. */
export interface RemoteFile {
  /** What a user calls it, for messages. */
  readonly source: string;
  /** Where it is. */
  readonly url: string;
  /** Its size. */
  readonly bytes: number;
  /** Its checksum, in lower-case hexadecimal. */
  readonly sha256: string;
  /** What to do when it cannot be had. */
  readonly remedy: string;
}

/** A server that does not answer must not hold a run for longer than this, in milliseconds. */
const PATIENCE_MS = 120_000;

/**
 * The contents of a file that is kept at `path`: downloaded if it is not there, or is not what it should be.
 *
 * @throws {DataError} when it cannot be downloaded, is another file than expected, or cannot be kept.
 */
export async function downloadOnce(file: RemoteFile, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const kept = await readKept(file, path);
  if (kept && await isExpected(file, kept)) return kept;
  const bytes = await download(file);
  if (!await isExpected(file, bytes)) {
    const found = bytes.length === file.bytes ? "another checksum" : `${bytes.length} bytes`;
    throw new DataError(
      file.source,
      `the download has ${found}, expected ${file.bytes} bytes of a known file`,
      file.remedy,
    );
  }
  await keep(file, path, bytes);
  return bytes;
}

/**
 * Sinter's folder for downloads: in `XDG_CACHE_HOME`, or else in `HOME`'s `.cache`.
 *
 * @throws {DataError} when neither variable is set.
 */
export function cacheFolder(source: string): string {
  const home = Deno.env.get("HOME");
  const base = Deno.env.get("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  if (!base) throw new DataError(source, "there is no folder for downloads", "set HOME or XDG_CACHE_HOME");
  return join(base, "sinter");
}

async function readKept({ source }: RemoteFile, path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw new DataError(source, `${path} cannot be read (${describe(problem)})`, "remove it");
  }
}

async function isExpected(file: RemoteFile, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  if (bytes.length !== file.bytes) return false;
  return encodeHex(await crypto.subtle.digest("SHA-256", bytes)) === file.sha256;
}

async function download({ source, url, remedy }: RemoteFile): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the server answered ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  } catch (problem) {
    throw new DataError(source, `could not be downloaded (${describe(problem)})`, remedy);
  }
}

/** Writes under a temporary name, syncs, renames. Whoever downloads at the same time has a name of its own. */
async function keep({ source }: RemoteFile, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (problem) {
    await Deno.remove(temporary).catch(() => {});
    const remedy = "make room there, or set XDG_CACHE_HOME to a folder that can be written to";
    throw new DataError(source, `${path} cannot be written (${describe(problem)})`, remedy);
  }
}

function describe(problem: unknown): string {
  return (problem instanceof Error ? problem.message : String(problem)).split("\n")[0];
}
