/**
 * Where a build is, kept in its folder so that it goes on there after whatever has ended it.
 *
 * @module
 */
import { join } from "@std/path";
import { writeTextDurably } from "../durable.ts";
import { DataError } from "../errors.ts";
import type { BuildFacts, InputRecord, ShardRecord } from "./manifest.ts";

/** Name of the file. */
export const PROGRESS_FILE = "progress.json";

/** A place among the inputs' tokens. */
export interface Place {
  readonly input: number;
  readonly unit: number;
  /** Tokens of the unit before this place. */
  readonly skip: number;
  /** Documents of all units before this one. */
  readonly documents: number;
}

/** What is on the disk for good. */
export interface BuildProgress {
  /** What is built. */
  readonly facts: BuildFacts;
  /** Files that were opened, by their place among the inputs. */
  readonly inputs: Readonly<Record<string, InputRecord>>;
  /** Finished shards. */
  readonly shards: readonly ShardRecord[];
  /** Where the shard that is not finished begins. */
  readonly begun: Place;
  /** Where its next token is. */
  readonly next: Place;
  /** Tokens in it. */
  readonly tokens: number;
}

/**
 * What a folder's file says; undefined if there is none.
 *
 * @throws {DataError} when the file is damaged, or is of a build of something else.
 */
export async function readProgress(folder: string, facts: BuildFacts): Promise<BuildProgress | undefined> {
  const path = join(folder, PROGRESS_FILE);
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
  const found = parse(text);
  if (!found) throw new DataError(path, "is damaged", "remove the folder and begin anew");
  requireSame(path, found.facts, facts);
  return found;
}

/** Puts it into the folder. */
export async function writeProgress(folder: string, progress: BuildProgress): Promise<void> {
  await writeTextDurably(join(folder, PROGRESS_FILE), JSON.stringify({ version: 1, ...progress }));
}

/**
 * Refuses to mix two builds in one folder.
 *
 * @throws {DataError} that names what differs.
 */
export function requireSame(path: string, found: BuildFacts, wanted: BuildFacts): void {
  for (const key of Object.keys(wanted) as (keyof BuildFacts)[]) {
    const [there, here] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
    if (there === here) continue;
    const short = (text = "nothing") => text.length > 80 ? `${text.slice(0, 80)}…` : text;
    throw new DataError(
      path,
      `was begun with ${key} ${short(there)}, and this is ${short(here)}`,
      "give the same flags and files again, or another --out",
    );
  }
}

function parse(text: string): BuildProgress | undefined {
  try {
    const { version, facts, inputs, shards, begun, next, tokens } = JSON.parse(text);
    const isPlace = (place: Partial<Place> | null) =>
      [place?.input, place?.unit, place?.skip, place?.documents].every(Number.isSafeInteger);
    const isSound = version === 1 && facts && inputs && Array.isArray(shards) && isPlace(begun) &&
      isPlace(next) && Number.isSafeInteger(tokens);
    return isSound ? { facts, inputs, shards, begun, next, tokens } : undefined;
  } catch {
    return undefined;
  }
}
