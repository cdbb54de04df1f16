/**
 * Files that are downloaded once and kept in the user's cache folder.
 *
 * @module
 */
import { encodeHex } from "@std/encoding";
import { join } from "@std/path";
import { DataError } from "./errors.ts";
import { fetchFile, type FetchOptions, type RemoteFile } from "./fetch_file.ts";

/**
 * The contents of a file that is kept at `path`: downloaded if it is not there, or is not what it should be.
 *
 * @throws {DataError} when it cannot be downloaded, is another file than expected, or cannot be kept.
 */
export async function downloadOnce(
  file: RemoteFile,
  path: string,
  options: FetchOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const kept = await readKept(file, path);
  if (kept && await isExpected(file, kept)) return kept;
  // Somebody waits for it.
  await fetchFile(file, path, { attempts: 3, waitMs: 300, ...options });
  return await Deno.readFile(path);
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
    const text = problem instanceof Error ? problem.message : String(problem);
    throw new DataError(source, `${path} cannot be read (${text})`, "remove it");
  }
}

async function isExpected(
  { bytes, sha256 }: RemoteFile,
  contents: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (bytes !== undefined && contents.length !== bytes) return false;
  return sha256 === undefined || encodeHex(await crypto.subtle.digest("SHA-256", contents)) === sha256;
}
