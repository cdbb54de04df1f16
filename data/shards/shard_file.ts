/**
 * One token file, open for reading: tokens are read where they are asked for, into a buffer that is used again, and each
 * is compared with the vocabulary. The reads are synchronous: a window is two kilobytes, and comes from the page cache.
 *
 * @module
 */
import { DataError } from "../errors.ts";
import { TOKEN_BYTES } from "./format.ts";
import { REPLACE_FILE, type ShardHeader } from "./read_header.ts";

/** An open token file. */
export class ShardFile {
  readonly #file: Deno.FsFile;
  #bytes = new Uint8Array(0);

  /**
   * Opens a file whose header is known.
   *
   * @param vocabulary Tokens are below this.
   * @throws {DataError} when it cannot be opened.
   */
  constructor(readonly path: string, readonly header: ShardHeader, readonly vocabulary: number) {
    try {
      this.#file = Deno.openSync(path);
    } catch (problem) {
      throw unreadable(path, problem);
    }
  }

  /**
   * Tokens from `start` on. The array is valid until the next read.
   *
   * @throws {DataError} when the file has become shorter, or a token is past the vocabulary.
   */
  read(start: number, count: number): Uint16Array {
    const bytes = this.#buffer(count * TOKEN_BYTES);
    try {
      this.#file.seekSync(this.header.offset + start * TOKEN_BYTES, Deno.SeekMode.Start);
      for (let filled = 0; filled < bytes.length;) {
        const read = this.#file.readSync(bytes.subarray(filled));
        if (read === null) throw new Error("it has become shorter");
        filled += read;
      }
    } catch (problem) {
      throw unreadable(this.path, problem);
    }
    // Every platform that Deno runs on is little-endian, as the files are.
    const tokens = new Uint16Array(bytes.buffer, 0, count);
    checkTokens(this.path, tokens, start, this.vocabulary);
    return tokens;
  }

  #buffer(size: number): Uint8Array {
    if (this.#bytes.length < size) this.#bytes = new Uint8Array(size);
    return this.#bytes.subarray(0, size);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}

/**
 * Refuses tokens past the vocabulary.
 *
 * @param first Position of the first of `tokens` in the file.
 * @throws {DataError} that names file, position and token.
 */
export function checkTokens(path: string, tokens: Uint16Array, first: number, vocabulary: number): void {
  let largest = 0;
  for (let i = 0; i < tokens.length; i++) if (tokens[i] > largest) largest = tokens[i];
  if (largest < vocabulary) return;
  const at = tokens.findIndex((token) => token >= vocabulary);
  throw new DataError(
    path,
    `token ${first + at} is ${tokens[at]}, past the vocabulary of ${vocabulary}`,
    REPLACE_FILE,
  );
}

/** What a failed read of a file says. */
export function unreadable(path: string, problem: unknown): unknown {
  if (!(problem instanceof Error) || problem instanceof DataError) return problem;
  if (problem instanceof Deno.errors.NotFound) {
    return new DataError(path, "the file does not exist", REPLACE_FILE);
  }
  return new DataError(path, `cannot be read (${problem.message})`, "let this file be readable");
}
