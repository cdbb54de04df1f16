/**
 * What a folder's `manifest.json` says of its token files. The writer of the files puts it beside them; folders from
 * elsewhere have none.
 *
 * @module
 */
import { join } from "@std/path";
import { DataError } from "../errors.ts";

/** A manifest's words on a file. */
export interface ShardSum {
  /** Tokens in it. */
  readonly tokens?: number;
  /** In lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * Token files by name, as a folder's manifest has them; none if there is no manifest.
 *
 * @throws {DataError} when the manifest is damaged.
 */
export async function readShardSums(folder: string): Promise<ReadonlyMap<string, ShardSum>> {
  const path = join(folder, "manifest.json");
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return new Map();
    throw new DataError(
      path,
      `cannot be read (${problem instanceof Error ? problem.message : problem})`,
      REMEDY,
    );
  }
  const shards = shardsOf(text);
  if (!shards) throw new DataError(path, "has no proper list of shards", REMEDY);
  return new Map(shards.map(({ name, tokens, sha256 }) => [name, { tokens, sha256 }]));
}

const REMEDY = "write the shards again, or remove this file to do without its sums";

interface Listed extends ShardSum {
  readonly name: string;
}

function shardsOf(text: string): readonly Listed[] | undefined {
  try {
    const shards: unknown = JSON.parse(text)?.shards;
    return Array.isArray(shards) && shards.every(isListed) ? shards : undefined;
  } catch {
    return undefined;
  }
}

function isListed(value: unknown): value is Listed {
  const { name, tokens, sha256 } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof name === "string" && (tokens === undefined || Number.isSafeInteger(tokens)) &&
    typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256);
}
