/**
 * HellaSwag (Zellers et al. 2019, arXiv:1905.07830): beginnings of everyday stories, each with four endings, of which one is
 * right. The validation set is downloaded once; any file of its form can be read.
 *
 * @module
 */
import { join } from "@std/path";
import { cacheFolder, downloadOnce } from "./download.ts";
import { DataError } from "./errors.ts";
import type { FetchOptions, RemoteFile } from "./fetch_file.ts";
import { readTextFile } from "./text_file.ts";

/** One question. */
export interface HellaSwagExample {
  /** How it begins. */
  readonly context: string;
  /** Four ways to go on; they follow the context after a space. */
  readonly endings: readonly string[];
  /** Which of them is right, from 0. */
  readonly label: number;
}

/** Endings of every example. */
export const ENDINGS = 4;

/** Examples of the validation set, on which results are published. */
export const VALIDATION_EXAMPLES = 10_042;

/** Where the authors publish their files. */
const PUBLISHED = "https://raw.githubusercontent.com/rowanz/hellaswag/master/data";

const VALIDATION: RemoteFile = {
  source: "HellaSwag's validation set",
  url: `${PUBLISHED}/hellaswag_val.jsonl`,
  sha256: "0aa3b88843990f3f10a97b9575c94d7b71fb2205240ba04ae4884d9e9c992588",
  remedy:
    "check the connection, name a --mirror, or download hellaswag_val.jsonl yourself and use --file FILE",
};

/** Options of {@link loadHellaSwag}. */
export interface HellaSwagOptions {
  /** A file in place of the validation set: JSON lines, also compressed (`.gz`). */
  readonly file?: string;
  /** Examples to read, from the first on; left out: all. */
  readonly limit?: number;
  /** Folder on the web that holds a copy of the authors' files. */
  readonly mirror?: string;
  /** Folder for the download; by default the user's cache folder. */
  readonly cacheFolder?: string;
  /** How the download goes on. */
  readonly download?: Pick<FetchOptions, "onProgress" | "signal" | "waitMs">;
}

/**
 * The validation set, downloaded at the first call, or the examples of a file.
 *
 * @throws {DataError} when it cannot be had, or is no file of this form; the message names the line.
 *
 * @example Not run in tests, since it downloads
 * ```ts ignore
 * import { loadHellaSwag } from "@sinter/sinter/data";
 * const examples = await loadHellaSwag({ limit: 100 });
 * ```
 */
export async function loadHellaSwag(options: HellaSwagOptions = {}): Promise<HellaSwagExample[]> {
  const { file, limit, mirror, download } = options;
  if (file !== undefined) {
    const source = `HellaSwag file ${file}`;
    return parseHellaSwag(source, await readTextFile(source, file), limit);
  }
  const remote = mirror === undefined ? VALIDATION : { ...VALIDATION, url: mirrored(mirror) };
  const path = join(options.cacheFolder ?? cacheFolder(remote.source), "hellaswag_val.jsonl");
  const text = new TextDecoder().decode(await downloadOnce(remote, path, download));
  return parseHellaSwag(remote.source, text, limit);
}

function mirrored(mirror: string): string {
  const name = VALIDATION.url.slice(PUBLISHED.length + 1);
  const url = URL.parse(name, mirror.endsWith("/") ? mirror : `${mirror}/`);
  if (url && /^https?:$/.test(url.protocol)) return url.href;
  throw new DataError(`--mirror ${mirror}`, "is no address on the web", `name a folder that holds ${name}`);
}

const LINE_REMEDY = "name a file as its authors publish it, such as hellaswag_val.jsonl";

/**
 * The examples of a file's text, in its order. Empty lines are passed over, and lines behind the limit are not looked at.
 *
 * @param source Name of the file, for messages.
 * @throws {DataError} that names the first line that is no example; or when there is none at all.
 */
export function parseHellaSwag(source: string, text: string, limit = Infinity): HellaSwagExample[] {
  const examples: HellaSwagExample[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (examples.length >= limit) break;
    if (line.trim() === "") continue;
    const found = parseExample(line);
    if (typeof found === "string") throw new DataError(source, `line ${index + 1} ${found}`, LINE_REMEDY);
    examples.push(found);
  }
  if (examples.length === 0) throw new DataError(source, "has no examples", LINE_REMEDY);
  return examples;
}

/** The example of a line, or what is wrong with it. */
function parseExample(line: string): HellaSwagExample | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "is no JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "is no JSON object";
  const { ctx, endings, label } = value as Record<string, unknown>;
  if (typeof ctx !== "string" || ctx === "") return 'has no text under "ctx"';
  if (!Array.isArray(endings) || endings.some((ending) => typeof ending !== "string")) {
    return 'has no list of texts under "endings"';
  }
  if (endings.length !== ENDINGS) return `has ${endings.length} endings, not ${ENDINGS}`;
  if (label === undefined || label === null || label === "") {
    return "has no label (those of the test set are not published)";
  }
  // Some copies of the files have labels as text.
  const right = typeof label === "string" && /^\d$/.test(label) ? Number(label) : label;
  if (typeof right !== "number" || !Number.isInteger(right) || right < 0 || right >= ENDINGS) {
    return `has the label ${JSON.stringify(label)}, not a number from 0 to ${ENDINGS - 1}`;
  }
  return { context: ctx, endings, label: right };
}
