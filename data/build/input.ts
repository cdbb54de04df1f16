/**
 * What shards are built from: files of documents, taken in units (row groups, or some lines), so that a build can go on at
 * the unit where it was.
 *
 * @module
 */
import { basename } from "@std/path";
import { type FileSum, sumFile } from "../durable.ts";
import { DataError } from "../errors.ts";
import { parseTextFile, readJsonLines, readTextFile } from "../text_file.ts";
import { ParquetText } from "./parquet.ts";
import type { Documents } from "./tokenize_worker.ts";

/** A file of documents, before anything of it is read. */
export interface BuildInput {
  /** Without folders. */
  readonly name: string;
  /** Its size. */
  readonly bytes: number;
  /** Where it is known beforehand, in lower-case hexadecimal. */
  readonly sha256?: string;
  /** Makes it ready: downloaded, checked, opened. */
  open(signal?: AbortSignal): Promise<OpenInput>;
  /** Told when its tokens are on the disk for good. */
  release?(): Promise<void>;
}

/** A unit of a file. */
export interface Unit {
  /** Its documents, or where they are. */
  readonly documents: Documents;
  /** Part of the file that is read with it, from 0 to 1. */
  readonly done: number;
}

/** A file that can be read. */
export interface OpenInput {
  /** Size and checksum of the file. */
  readonly sum: FileSum;
  /** Its units from `from` on. */
  units(from: number): AsyncIterable<Unit>;
}

/** Characters of a unit of JSON lines. */
const UNIT_LENGTH = 1 << 20;

/**
 * A parquet file on this machine.
 *
 * @param ready Called first; gives the file's sum if that is known.
 */
export function parquetInput(
  path: string,
  column: string,
  facts: { readonly bytes: number; readonly sha256?: string },
  { ready, release }: {
    readonly ready?: (signal?: AbortSignal) => Promise<FileSum>;
    readonly release?: () => Promise<void>;
  } = {},
): BuildInput {
  return {
    name: basename(path),
    ...facts,
    ...release && { release },
    async open(signal) {
      const sum = ready ? await ready(signal) : await sumFile(path, signal);
      using file = await ParquetText.open(path, column);
      const { groups } = file;
      return {
        sum,
        async *units(from) {
          for (let group = from; group < groups; group++) {
            yield { documents: { path, column, group }, done: (group + 1) / groups };
          }
        },
      };
    },
  };
}

/** Text that is one document, or JSON lines with one in each; `argument` is what `text:` names. */
export async function textInput(argument: string): Promise<BuildInput> {
  const { path, key } = parseTextFile(argument);
  let bytes: number;
  try {
    bytes = (await Deno.stat(path)).size;
  } catch (problem) {
    const text = problem instanceof Deno.errors.NotFound ? "the file does not exist" : String(problem);
    throw new DataError(path, text, "name text files, also .gz, .jsonl and .jsonl.gz");
  }
  return {
    name: basename(path),
    bytes,
    async open(signal) {
      return {
        sum: await sumFile(path, signal),
        units: (from) => key === undefined ? wholeText(path, from) : jsonLines(path, key, from),
      };
    },
  };
}

async function* wholeText(path: string, from: number): AsyncGenerator<Unit> {
  if (from === 0) yield { documents: { texts: [await readTextFile(path, path)] }, done: 1 };
}

async function* jsonLines(path: string, key: string, from: number): AsyncGenerator<Unit> {
  const { readable, writable } = new TransformStream<readonly string[], readonly string[]>();
  const writer = writable.getWriter();
  let texts: string[] = [];
  let length = 0;
  let unit = 0;
  const flush = async () => {
    if (texts.length > 0 && unit++ >= from) await writer.write(texts);
    [texts, length] = [[], 0];
  };
  const reading = readJsonLines(path, { path, key }, async (text) => {
    texts.push(text);
    length += text.length;
    if (length >= UNIT_LENGTH) await flush();
  }).then(flush).then(() => writer.close(), (problem) => writer.abort(problem)).catch(() => {});
  // How far the file is read is not known by the unit; the next file's beginning says it.
  for await (const texts of readable) yield { documents: { texts }, done: 0 };
  await reading;
}
