/**
 * Text in files: plain, gzip'd (`.gz`), and JSON lines (`.jsonl`, one document in each line), all streamed, so that what is
 * wrong is found where it is, and what grows without end is stopped.
 *
 * Node's gunzip checks length and CRC-32 of every member and reads files of several members, as parallel compressors and
 * `cat` write them.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { DataError } from "./errors.ts";

/** Longest text: a JavaScript string holds at most this many characters. */
export const MAX_TEXT_BYTES = 2 ** 29 - 24;
/** Longest line of JSON lines. */
const MAX_LINE_BYTES = 2 ** 26;

/** JSON lines by the name of the file, with the key of the text behind `#`. */
const JSON_LINES = /^(?<path>.*\.(?:jsonl|ndjson)(?:\.gz)?)(?:#(?<key>.*))?$/i;

/** What a `text:` source names. */
export interface TextFile {
  /** Of the file. */
  readonly path: string;
  /** For JSON lines: the key whose value is the text of a document. */
  readonly key?: string;
}

/** Reads what follows `text:`: a path, and for JSON lines a key after `#`, which is `text` if left out. */
export function parseTextFile(argument: string): TextFile {
  const { path, key } = JSON_LINES.exec(argument)?.groups ?? {};
  return path === undefined ? { path: argument } : { path, key: key ?? "text" };
}

/** Options of the readers. */
export interface TextFileOptions {
  /** Most bytes of text, decompressed. */
  readonly maxBytes?: number;
}

/**
 * A file of text, which is decompressed if its name ends in `.gz`.
 *
 * @param source As the user named it, for messages.
 * @throws {DataError} when it cannot be read, is too long, or is not UTF-8 text.
 */
export async function readTextFile(
  source: string,
  path: string,
  { maxBytes = MAX_TEXT_BYTES }: TextFileOptions = {},
): Promise<string> {
  const decode = utf8Decoder(source, "the file");
  const parts: string[] = [];
  await readBytes(source, path, maxBytes, (bytes) => {
    if (bytes.includes(0)) {
      throw new DataError(source, "the file is binary (it holds zero bytes)", TEXT_REMEDY);
    }
    parts.push(decode(bytes, true));
  });
  parts.push(decode(new Uint8Array(), false));
  return parts.join("");
}

/**
 * The documents of a file of JSON lines, in order. Empty lines are passed over.
 *
 * @param source As the user named it, for messages.
 * @param onDocument Takes each; the file waits for it.
 * @throws {DataError} that names the line, when it is no object with a string under the key.
 */
export async function readJsonLines(
  source: string,
  { path, key }: Required<TextFile>,
  onDocument: (text: string) => void | Promise<void>,
  { maxBytes = Infinity }: TextFileOptions = {},
): Promise<void> {
  let number = 0;
  let rest = new Uint8Array();
  const take = async (line: Uint8Array) => {
    number++;
    const text = documentOf(source, number, line, key);
    if (text !== undefined) await onDocument(text);
  };
  await readBytes(source, path, maxBytes, async (bytes) => {
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      await take(join(rest, bytes.subarray(from, end)));
      rest = new Uint8Array();
      from = end + 1;
    }
    rest = join(rest, bytes.subarray(from));
    if (rest.length > MAX_LINE_BYTES) {
      throw new DataError(
        source,
        `line ${number + 1} is longer than ${MAX_LINE_BYTES} bytes`,
        "write one document in each line",
      );
    }
  });
  if (rest.length > 0) await take(rest);
}

const NEWLINE = "\n".charCodeAt(0);
const TEXT_REMEDY = "name a UTF-8 text file, as in --data text:book.txt";

function documentOf(source: string, number: number, line: Uint8Array, key: string): string | undefined {
  const where = `line ${number}`;
  const text = utf8Decoder(source, where)(line, false);
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DataError(
      source,
      `${where} is no JSON (${excerpt(text)})`,
      "write one JSON object in each line",
    );
  }
  const remedy = "name the key of the text, as in --data text:docs.jsonl#content";
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DataError(
      source,
      `${where} is no JSON object (${excerpt(text)})`,
      "write one JSON object in each line",
    );
  }
  if (!Object.hasOwn(value, key)) {
    const keys = Object.keys(value).slice(0, 8).join(", ");
    throw new DataError(source, `${where} has no key ${key} (it has: ${keys || "none"})`, remedy);
  }
  const found = (value as Record<string, unknown>)[key];
  if (typeof found !== "string") {
    throw new DataError(source, `${where} has no text under the key ${key}`, remedy);
  }
  return found;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function join(a: Uint8Array<ArrayBuffer>, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function utf8Decoder(source: string, what: string): (bytes: Uint8Array, isMore: boolean) => string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return (bytes, stream) => {
    try {
      return decoder.decode(bytes, { stream });
    } catch {
      throw new DataError(source, `${what} is not UTF-8 text`, TEXT_REMEDY);
    }
  };
}

/** Gives a file's bytes to `take`, decompressed if its name says so. */
async function readBytes(
  source: string,
  path: string,
  maxBytes: number,
  take: (bytes: Uint8Array) => void | Promise<void>,
): Promise<void> {
  if (path === "") throw new DataError(source, "names no file", TEXT_REMEDY);
  const isCompressed = /\.gz$/i.test(path);
  const tooLong = (bytes: number | string) =>
    new DataError(source, `${bytes} bytes, at most ${maxBytes} are possible`, "name a shorter text");
  let total = 0;
  let refusal: unknown;
  const takeAll = async (chunks: AsyncIterable<Uint8Array>) => {
    try {
      for await (const bytes of chunks) {
        total += bytes.length;
        if (total > maxBytes) throw tooLong(`more than ${maxBytes}`);
        await take(bytes);
      }
    } catch (problem) {
      if (problem instanceof DataError) refusal = problem;
      throw problem;
    }
  };
  try {
    const { size, isBlockDevice, isCharDevice, isDirectory } = await Deno.stat(path);
    if (isDirectory) throw new DataError(source, "is a directory", TEXT_REMEDY);
    if (isBlockDevice || isCharDevice) throw new DataError(source, "is a device", TEXT_REMEDY);
    if (!isCompressed && size > maxBytes) throw tooLong(size);
    const file = createReadStream(path, { highWaterMark: 1 << 18 });
    if (isCompressed) await pipeline(file, createGunzip({ chunkSize: 1 << 18 }), takeAll);
    else await pipeline(file, takeAll);
  } catch (problem) {
    // A pipeline that is given up may reject with the streams' abortion instead of the reason.
    throw refusal ?? readProblem(source, problem);
  }
  if (total === 0) throw new DataError(source, "the file is empty", TEXT_REMEDY);
}

/** What zlib's codes say, to those who have never seen one. */
const GZIP_PROBLEMS: Readonly<Record<string, string>> = {
  Z_BUF_ERROR: "the compressed file ends too early",
  Z_DATA_ERROR: "the compressed file is damaged",
};

function readProblem(source: string, problem: unknown): unknown {
  if (!(problem instanceof Error) || problem instanceof DataError) return problem;
  const { code } = problem as Error & { readonly code?: string };
  if (code !== undefined && code in GZIP_PROBLEMS) {
    return new DataError(
      source,
      `${GZIP_PROBLEMS[code]} (${problem.message})`,
      "download or compress it again",
    );
  }
  if (problem instanceof Deno.errors.NotFound) {
    return new DataError(source, "the file does not exist", TEXT_REMEDY);
  }
  if (
    problem instanceof Deno.errors.PermissionDenied || problem instanceof Deno.errors.NotCapable ||
    code === "EACCES"
  ) {
    return new DataError(source, "the file may not be read", TEXT_REMEDY);
  }
  return new DataError(source, `cannot be read (${problem.message})`, TEXT_REMEDY);
}
