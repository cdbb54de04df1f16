/**
 * A folder of token files: which of them belong to the set, in which order, and what tells the set from others. The layouts
 * are build-nanogpt's, llm.c's and nanoGPT's (`format.ts`); a folder that is none of them, or is unfinished, is refused
 * with the file's name, before a run has begun.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "@std/path";
import { DataError } from "../errors.ts";
import type { ShardFormat, Split } from "./format.ts";
import { HEAD_BYTES, parseShardHeader, REPLACE_FILE, type ShardHeader } from "./read_header.ts";
import { unreadable } from "./shard_file.ts";

/** A token file by its name: `PREFIX_train_000001.npy`, `PREFIX_val.bin`, `train.bin`. */
const SHARD_NAME = /^(?:(?<prefix>.+)_)?(?<split>train|val)(?:_(?<number>\d{1,9}))?\.(?<extension>npy|bin)$/;
/** A token file's name with something behind it, as downloads and writers name what is not finished. */
const UNFINISHED_NAME =
  /^(?:.+_)?(?:train|val)(?:_\d{1,9})?\.(?:npy|bin)(?:[.~-].*)?\.?(?:part|partial|tmp|temp|download|crdownload|aria2|incomplete)$/;

/** What a folder must hold, for messages. */
const LAYOUTS =
  "name a folder with files such as edufineweb_train_000001.npy and edufineweb_val_000000.npy " +
  "(or .bin), or train.bin and val.bin";

/** A file of a set, by its name alone. */
export interface ShardEntry {
  /** Without the folder. */
  readonly name: string;
  /** With the folder. */
  readonly path: string;
  /** What its tokens are for. */
  readonly split: Split;
  /** Whether it may do without a header: only nanoGPT's names may. */
  readonly headerless: boolean;
}

/** A file of a set whose header agrees with its size. */
export interface Shard extends ShardEntry {
  /** Where its tokens lie. */
  readonly header: ShardHeader;
  /** Of the whole file. */
  readonly bytes: number;
}

/** A folder's token files. */
export interface ShardSet {
  /** The folder. */
  readonly folder: string;
  /** How all of them are written. */
  readonly format: ShardFormat;
  /** In the order of their numbers. */
  readonly train: readonly Shard[];
  /** In the order of their numbers; at least one. */
  readonly validation: readonly Shard[];
}

/**
 * Token files of a folder, by their names: those to train on in the order of their numbers, then those to validate on.
 *
 * @throws {DataError} when there are none, a split or a number is missing, two sets lie in one folder, or a file is unfinished.
 */
export async function listShards(folder: string): Promise<readonly ShardEntry[]> {
  const source = `shards:${folder}`;
  const names = await namesIn(source, folder);
  const unfinished = names.find((name) => UNFINISHED_NAME.test(name));
  if (unfinished !== undefined) {
    throw new DataError(
      join(folder, unfinished),
      "this file is unfinished",
      "let the command that writes it go on to its end, or remove it",
    );
  }
  const found = names.flatMap((name) => {
    const groups = SHARD_NAME.exec(name)?.groups;
    return groups ? [{ name, groups }] : [];
  });
  if (found.length === 0) throw new DataError(source, "the folder holds no token files", LAYOUTS);
  const [{ name: first, groups: expected }] = found;
  const kind = ({ prefix, extension }: typeof expected) => `${prefix}.${extension}`;
  const other = found.find(({ groups }) => kind(groups) !== kind(expected));
  if (other) {
    throw new DataError(
      source,
      `${first} and ${other.name} are of two sets`,
      "keep each set in a folder of its own",
    );
  }
  const split = (wanted: Split) =>
    inOrder(source, wanted, found.filter(({ groups }) => groups.split === wanted));
  return [...split("train"), ...split("val")].map(({ name, groups }) => ({
    name,
    path: join(folder, name),
    split: groups.split as Split,
    headerless: groups.prefix === undefined && groups.number === undefined,
  }));
}

async function namesIn(source: string, folder: string): Promise<string[]> {
  if (folder === "") throw new DataError(source, "names no folder", LAYOUTS);
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name).sort();
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) {
      throw new DataError(source, "the folder does not exist", LAYOUTS);
    }
    if (problem instanceof Deno.errors.NotADirectory) throw new DataError(source, "is no folder", LAYOUTS);
    throw unreadable(folder, problem);
  }
}

interface Found {
  readonly name: string;
  readonly groups: Readonly<Partial<Record<string, string>>>;
}

/** Files of a split in the order of their numbers, which must leave none out: a lost file would go unnoticed. */
function inOrder(source: string, split: Split, files: readonly Found[]): readonly Found[] {
  if (files.length === 0) {
    const what = split === "val" ? "validation" : "training";
    throw new DataError(source, `there is no file for ${what} (none with ${split} in its name)`, LAYOUTS);
  }
  const numbered = files.map((file) => ({ ...file, number: Number(file.groups.number ?? 0) }))
    .sort((a, b) => a.number - b.number);
  // Both counts are in use: from 0 in each split, and from 1 for training where shard 0 is for validation.
  let expected = Math.min(1, numbered[0].number);
  for (const [i, { name, number }] of numbered.entries()) {
    if (i > 0 && number === numbered[i - 1].number) {
      throw new DataError(
        source,
        `${numbered[i - 1].name} and ${name} have the same number`,
        "remove one of them",
      );
    }
    if (number !== expected) {
      const problem = number === expected + 1
        ? `number ${expected} is`
        : `numbers ${expected} to ${number - 1} are`;
      throw new DataError(source, `${problem} missing before ${name}`, "download or write the missing files");
    }
    expected = number + 1;
  }
  return numbered;
}

/**
 * Reads the header of a file.
 *
 * @throws {DataError} when it is damaged.
 */
export async function readShard(entry: ShardEntry): Promise<Shard> {
  const { path, headerless } = entry;
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new DataError(path, "is no file", REPLACE_FILE);
    using file = await Deno.open(path);
    const head = await readAt(file, 0, HEAD_BYTES);
    return { ...entry, header: parseShardHeader(path, head, size, headerless), bytes: size };
  } catch (problem) {
    throw unreadable(path, problem);
  }
}

/**
 * Opens a folder: lists it and reads every header.
 *
 * @throws {DataError} when the folder or a file in it cannot be used.
 */
export async function readShardSet(folder: string): Promise<ShardSet> {
  // One after the other: the largest published set has 1,001 files, near the usual limit of open ones.
  return makeSet(folder, await Array.fromAsync(await listShards(folder), readShard));
}

/**
 * Joins the files of a folder.
 *
 * @throws {DataError} when they are not of one format, which names cannot tell of .bin files.
 */
export function makeSet(folder: string, shards: readonly Shard[]): ShardSet {
  const [{ name, header: { format } }] = shards;
  const other = shards.find(({ header }) => header.format !== format);
  if (other) {
    throw new DataError(
      `shards:${folder}`,
      `${name} is of the format ${format}, and ${other.name} of ${other.header.format}`,
      "keep each set in a folder of its own",
    );
  }
  const of = (wanted: Split) => shards.filter(({ split }) => split === wanted);
  return { folder, format, train: of("train"), validation: of("val") };
}

/** Tokens in files. */
export function countTokens(shards: readonly Shard[]): number {
  return shards.reduce((sum, { header }) => sum + header.count, 0);
}

/**
 * What tells a set from others, without reading all of it: a hash of the files' names, sizes, headers, and first and last
 * tokens ({@link HEAD_BYTES} bytes at either end). Where the folder lies does not matter.
 */
export async function identifySet({ format, train, validation }: ShardSet): Promise<string> {
  const hash = createHash("sha256");
  const shards = [...train, ...validation];
  for (const { name, path, bytes } of shards) {
    hash.update(JSON.stringify([name, bytes]));
    using file = await Deno.open(path);
    hash.update(await readAt(file, 0, HEAD_BYTES));
    hash.update(await readAt(file, Math.max(0, bytes - HEAD_BYTES), HEAD_BYTES));
  }
  return `${countTokens(shards)} tokens in ${shards.length} ${format} files, sha256 ${hash.digest("hex")}`;
}

/** Bytes from `position` on; fewer where the file ends. */
async function readAt(file: Deno.FsFile, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.seek(position, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < length) {
    const read = await file.read(bytes.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}
