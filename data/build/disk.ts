/**
 * How much room a build needs, before it begins.
 *
 * @module
 */
import { join } from "@std/path";
import { TOKEN_BYTES } from "../shards/format.ts";

/**
 * Tokens for each byte of a parquet file of FineWeb-Edu's: 9.95 billion in 28.5 GB are 0.35. Text compresses alike
 * everywhere, so it is an estimate for other files too.
 */
const TOKENS_PER_BYTE = { parquet: 0.36, text: 0.3, gzip: 0.8 };

/** Tokens that files of that size will give, roughly. */
export function estimateTokens(files: readonly { readonly name: string; readonly bytes: number }[]): number {
  return files.reduce((sum, { name, bytes }) => {
    const kind = /\.gz$/i.test(name) ? "gzip" : /\.parquet$/i.test(name) ? "parquet" : "text";
    return sum + TOKENS_PER_BYTE[kind] * bytes;
  }, 0);
}

/** What a build will still write, in bytes. */
export interface BuildRoom {
  /** Of all shards. */
  readonly shardBytes: number;
  /** Of the downloads that lie there at once, at most. */
  readonly downloadBytes: number;
  /** Of both, without what lies there already. */
  readonly neededBytes: number;
}

/**
 * Room for a build in a folder.
 *
 * @param downloads Folder for downloads, if there are any, and how many of them lie there at once.
 */
export async function estimateRoom(
  folder: string,
  files: readonly { readonly name: string; readonly bytes: number }[],
  downloads?: { readonly folder: string; readonly atOnce: number },
): Promise<BuildRoom> {
  const shardBytes = TOKEN_BYTES * estimateTokens(files);
  const largest = Math.max(0, ...files.map(({ bytes }) => bytes));
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const downloadBytes = downloads ? Math.min(total, downloads.atOnce * largest) : 0;
  const there = await bytesIn(folder, /\.(?:npy|bin)(?:\.part)?$/);
  const downloaded = downloads ? await bytesIn(downloads.folder, /\.parquet(?:\.part)?$/) : 0;
  const neededBytes = Math.max(0, shardBytes - there) + Math.max(0, downloadBytes - downloaded);
  return { shardBytes, downloadBytes, neededBytes };
}

async function bytesIn(folder: string, pattern: RegExp): Promise<number> {
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    const sizes = names.filter((name) => pattern.test(name))
      .map(async (name) => (await Deno.stat(join(folder, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return 0;
    throw problem;
  }
}
