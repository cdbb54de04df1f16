/**
 * What a folder of shards was made of and how, so that it can be checked and made again: `manifest.json` beside the shards,
 * written when all of them are there.
 *
 * @module
 */
import { join } from "@std/path";
import { type FileSum, writeTextDurably } from "../durable.ts";
import { DataError } from "../errors.ts";
import type { ShardFormat, Split } from "../shards/format.ts";
import type { TokenizerName } from "../tokenizer.ts";

/** Name of the file. */
export const MANIFEST_FILE = "manifest.json";

/** Where documents come from. */
export interface DatasetFacts {
  /** Name of the dataset. */
  readonly name: string;
  /** The part of it. */
  readonly sample?: string;
  /** Commit of the files. */
  readonly revision?: string;
  /** What it may be used under. */
  readonly licence?: string;
  /** A page that describes it. */
  readonly url?: string;
}

/** Which tokenizer, and what tells it from others. */
export interface TokenizerRecord {
  /** Name of the tokenizer. */
  readonly name: TokenizerName;
  /** Number of its tokens. */
  readonly vocabulary: number;
  /** Of its `tokenizer.json`. */
  readonly sha256: string;
  /** Token before each document. */
  readonly separator: number;
}

/** Everything that the shards' bytes follow from. */
export interface BuildFacts {
  /** Where the documents come from. */
  readonly dataset: DatasetFacts;
  /** The files, in their order; the checksums of those that are published. */
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256?: string }[];
  /** What made tokens of them. */
  readonly tokenizer: TokenizerRecord;
  /** Of the shards. */
  readonly format: Exclude<ShardFormat, "raw">;
  /** How the shards' names begin. */
  readonly prefix: string;
  /** Tokens of every shard but the last. */
  readonly shardTokens: number;
}

/** An input as it was read. */
export interface InputRecord extends FileSum {
  /** Name of the file. */
  readonly name: string;
}

/** A finished shard. */
export interface ShardRecord extends FileSum {
  /** Name of the file. */
  readonly name: string;
  /** What it is for. */
  readonly split: Split;
  /** Tokens in it. */
  readonly tokens: number;
}

/** The whole. */
export interface Manifest extends BuildFacts {
  /** Of this file's form. */
  readonly version: 1;
  /** Documents in all shards. */
  readonly documents: number;
  /** Tokens in all shards. */
  readonly tokens: number;
  /** In their order. */
  readonly shards: readonly ShardRecord[];
}

/** Writes a folder's manifest. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeTextDurably(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * A folder's manifest; undefined if there is none.
 *
 * @throws {DataError} when it is none of this program's.
 */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const path = join(folder, MANIFEST_FILE);
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
  try {
    const manifest = JSON.parse(text);
    if (manifest?.version === 1 && Array.isArray(manifest.shards) && Array.isArray(manifest.files)) {
      return manifest;
    }
  } catch {
    // said below
  }
  throw new DataError(path, "is no manifest of this program's", "take another --out");
}
