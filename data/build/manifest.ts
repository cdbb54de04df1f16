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
  readonly name: string;
  readonly sample?: string;
  /** Commit of the files. */
  readonly revision?: string;
  readonly licence?: string;
  /** A page that describes it. */
  readonly url?: string;
}

/** Which tokenizer, and what tells it from others. */
export interface TokenizerRecord {
  readonly name: TokenizerName;
  readonly vocabulary: number;
  /** Of its `tokenizer.json`. */
  readonly sha256: string;
  /** Token before each document. */
  readonly separator: number;
}

/** Everything that the shards' bytes follow from. */
export interface BuildFacts {
  readonly dataset: DatasetFacts;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256?: string }[];
  readonly tokenizer: TokenizerRecord;
  readonly format: Exclude<ShardFormat, "raw">;
  readonly prefix: string;
  readonly shardTokens: number;
}

/** An input as it was read. */
export interface InputRecord extends FileSum {
  readonly name: string;
}

/** A finished shard. */
export interface ShardRecord extends FileSum {
  readonly name: string;
  readonly split: Split;
  readonly tokens: number;
}

/** The whole. */
export interface Manifest extends BuildFacts {
  /** Of this file's form. */
  readonly version: 1;
  readonly documents: number;
  readonly tokens: number;
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
