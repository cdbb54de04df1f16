/**
 * Looks through a folder of token files before somebody trains on it: every header, and on request every token and every
 * file's SHA-256. Unlike opening a set, it goes on after a damaged file and tells of all of them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { DataError } from "../errors.ts";
import { type ShardFormat, TOKEN_BYTES } from "./format.ts";
import { readShardSums, type ShardSum } from "./manifest_sums.ts";
import { checkTokens, unreadable } from "./shard_file.ts";
import { REPLACE_FILE } from "./read_header.ts";
import { listShards, makeSet, readShard, type Shard, type ShardEntry } from "./shard_set.ts";

/** Bytes that are read at once. */
const BLOCK_BYTES = 1 << 20;

/** What was found in a file. */
export interface ShardFinding extends Pick<ShardEntry, "name" | "split"> {
  /** Of the file; absent when it cannot be used. */
  readonly format?: ShardFormat;
  /** Tokens in it; absent when the header cannot be used. */
  readonly tokens?: number;
  /** Its size. */
  readonly bytes?: number;
  /** In lower-case hexadecimal; absent unless all of it was read. */
  readonly sha256?: string;
  /** Why it cannot be used: file, problem and remedy in one line. */
  readonly problem?: string;
}

/** What was found in a folder. */
export interface ShardsReport {
  /** The folder. */
  readonly folder: string;
  /** Those to train on in order, then those to validate on. */
  readonly files: readonly ShardFinding[];
  /** Tokens to train on, in the files that can be used. */
  readonly trainTokens: number;
  /** Tokens to validate on, in the files that can be used. */
  readonly validationTokens: number;
  /** Whether every token was read. */
  readonly deep: boolean;
  /** Whether the folder's manifest has sums that the files were compared with. */
  readonly hasSums: boolean;
  /** One line for each thing that is wrong; empty when the folder can be trained on. */
  readonly problems: readonly string[];
}

/** How far an inspection is. */
export interface InspectProgress {
  /** File that is read. */
  readonly name: string;
  /** Bytes of all files that have been read. */
  readonly bytes: number;
  /** Bytes of all files. */
  readonly totalBytes: number;
}

/** How deep to look. */
export interface InspectOptions {
  /** Reads every token, and compares SHA-256 where the folder has a manifest. */
  readonly deep?: boolean;
  /** Tokens are below this; GPT-2's 50,257 by default. */
  readonly vocabulary?: number;
  /** Is told after each block of a deep inspection. */
  readonly onProgress?: (progress: InspectProgress) => void;
  /** Ends the inspection; it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Looks through a folder of token files.
 *
 * @returns What was found, also when files are damaged.
 * @throws {DataError} when the folder holds no complete set: nothing in it, a number or a split missing, an unfinished file.
 *
 * @example Not run in tests, since it takes ten billion tokens
 * ```ts ignore
 * import { inspectShards } from "@sinter/sinter/data";
 * const { trainTokens, problems } = await inspectShards("edu_fineweb10B", { deep: true });
 * console.log(trainTokens, problems);
 * ```
 */
export async function inspectShards(folder: string, options: InspectOptions = {}): Promise<ShardsReport> {
  const { deep = false, vocabulary = 50_257, onProgress, signal } = options;
  const entries = await listShards(folder);
  const sums = await readShardSums(folder);
  const read = await Array.fromAsync(entries, (entry) => attempt(entry, () => readShard(entry)));
  const totalBytes = read.reduce((sum, shard) => sum + (shard instanceof DataError ? 0 : shard.bytes), 0);
  let bytes = 0;
  const files: ShardFinding[] = [];
  for (const [i, entry] of entries.entries()) {
    signal?.throwIfAborted();
    const found = read[i];
    const { name, split } = entry;
    if (found instanceof DataError) {
      files.push({ name, split, problem: found.message });
      continue;
    }
    const { header: { format, count }, bytes: size } = found;
    const facts = { name, split, format, tokens: count, bytes: size };
    const note = (more: number) => onProgress?.({ name, bytes: bytes += more, totalBytes });
    const sum = sums.get(name);
    const end = bytes + size;
    const checked = await attempt(entry, async () => {
      checkCount(found, sum);
      if (!deep) return undefined;
      const sha256 = await readAll(found, vocabulary, note, signal);
      checkSum(found, sha256, sum);
      return sha256;
    }, signal);
    bytes = end;
    files.push(
      checked instanceof DataError ? { ...facts, problem: checked.message } : { ...facts, sha256: checked },
    );
  }
  const missing = [...sums.keys()].filter((name) => !entries.some((entry) => entry.name === name));
  const usable = read.filter((shard): shard is Shard => !(shard instanceof DataError));
  const problems = [
    ...files.flatMap(({ problem }) => problem ?? []),
    ...missing.map((name) => `${folder}: the manifest names ${name}, which is not there; ${REPLACE_FILE}`),
    ...formatProblem(folder, usable),
  ];
  const tokensOf = (split: string) =>
    files.reduce((sum, file) => sum + (file.split === split && !file.problem ? file.tokens ?? 0 : 0), 0);
  return {
    folder,
    files,
    trainTokens: tokensOf("train"),
    validationTokens: tokensOf("val"),
    deep,
    hasSums: sums.size > 0,
    problems,
  };
}

async function attempt<T>(
  { path }: ShardEntry,
  body: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T | DataError> {
  try {
    return await body();
  } catch (problem) {
    if (signal?.aborted) throw problem;
    const error = unreadable(path, problem);
    if (error instanceof DataError) return error;
    throw error;
  }
}

function formatProblem(folder: string, shards: readonly Shard[]): string[] {
  if (shards.length === 0) return [];
  try {
    makeSet(folder, shards);
    return [];
  } catch (problem) {
    if (problem instanceof DataError) return [problem.message];
    throw problem;
  }
}

function checkCount({ path, header: { count } }: Shard, sum?: ShardSum): void {
  if (sum?.tokens === undefined || sum.tokens === count) return;
  throw new DataError(path, `holds ${count} tokens, and its manifest says ${sum.tokens}`, REPLACE_FILE);
}

function checkSum({ path }: Shard, sha256: string, sum?: ShardSum): void {
  if (sum === undefined || sum.sha256 === sha256) return;
  throw new DataError(path, `its SHA-256 is ${sha256}, and its manifest says ${sum.sha256}`, REPLACE_FILE);
}

/** Reads every token of a file; gives its SHA-256. */
async function readAll(
  { path, bytes: size, header: { offset } }: Shard,
  vocabulary: number,
  onRead: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<string> {
  using file = await Deno.open(path);
  const hash = createHash("sha256");
  const head = new Uint8Array(offset);
  await fill(file, head, path);
  hash.update(head);
  const block = new Uint8Array(BLOCK_BYTES);
  for (let at = offset; at < size;) {
    signal?.throwIfAborted();
    const bytes = block.subarray(0, Math.min(block.length, size - at));
    await fill(file, bytes, path);
    hash.update(bytes);
    const tokens = new Uint16Array(block.buffer, 0, bytes.length / TOKEN_BYTES);
    checkTokens(path, tokens, (at - offset) / TOKEN_BYTES, vocabulary);
    at += bytes.length;
    onRead(bytes.length);
  }
  return hash.digest("hex");
}

async function fill(file: Deno.FsFile, bytes: Uint8Array, path: string): Promise<void> {
  for (let filled = 0; filled < bytes.length;) {
    const read = await file.read(bytes.subarray(filled));
    if (read === null) throw new DataError(path, "has become shorter", REPLACE_FILE);
    filled += read;
  }
}
