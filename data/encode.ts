/**
 * Tokenizes long text in a Worker, piece by piece, so that the caller's thread stays free and can show progress.
 *
 * @module
 */
import type { EncodeReply, EncodeRequest } from "./encode_worker.ts";
import { joinTokens } from "./join_tokens.ts";
import type { TokenizerName } from "./tokenizer.ts";

/** Characters of a piece. */
const PIECE_LENGTH = 1 << 16;

/** Options of {@link encodeText}. */
export interface EncodeOptions {
  /** Is told how much of the text is done, from 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** Tokens of a text: the same as encoding it at once. */
export async function encodeText(
  tokenizer: TokenizerName,
  text: string,
  { onProgress }: EncodeOptions = {},
): Promise<Uint16Array<ArrayBuffer>> {
  using encoder = new DocumentEncoder(tokenizer);
  let done = 0;
  for (const piece of pieces(text)) {
    await encoder.add(piece);
    done += piece.length;
    onProgress?.(done / text.length);
  }
  return await encoder.finish();
}

/** Tokenizes documents as they come, in a Worker: what has been added is text no more, but tokens. */
export class DocumentEncoder {
  readonly #worker = new Worker(new URL("./encode_worker.ts", import.meta.url), { type: "module" });
  readonly #parts: Uint16Array<ArrayBuffer>[] = [];
  #waiting: string[] = [];
  #characters = 0;

  /** @param separator Token that is put before each document; left out: they are joined as they are. */
  constructor(readonly tokenizer: TokenizerName, readonly separator?: number) {}

  /** Adds a document; short ones wait for others, so that the Worker is asked less often. */
  async add(text: string): Promise<void> {
    this.#waiting.push(text);
    this.#characters += text.length;
    if (this.#characters >= PIECE_LENGTH) await this.#encode();
  }

  /** Tokens of all documents. */
  async finish(): Promise<Uint16Array<ArrayBuffer>> {
    if (this.#waiting.length > 0) await this.#encode();
    return joinTokens(this.#parts);
  }

  async #encode(): Promise<void> {
    const { tokenizer, separator } = this;
    const texts = this.#waiting;
    this.#waiting = [];
    this.#characters = 0;
    this.#parts.push(await ask(this.#worker, { tokenizer, texts, separator }));
  }

  /** Ends the Worker. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

function ask(worker: Worker, request: EncodeRequest): Promise<Uint16Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<EncodeReply>) => resolve(data.tokens);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`tokenizing failed: ${event.message}`));
    };
    worker.postMessage(request);
  });
}

/**
 * Cuts a text where GPT-2's pre-tokenizer always cuts: before white space that follows something else. None of its
 * patterns goes on from other characters into white space, and none looks back, so the pieces' tokens are those of the
 * whole. A piece is longer than `length` where the text has no such place.
 */
export function* pieces(text: string, length: number = PIECE_LENGTH): Generator<string> {
  let start = 0;
  while (start < text.length) {
    let end = Math.min(start + length, text.length);
    while (end < text.length && !isCut(text, end)) end++;
    yield text.slice(start, end);
    start = end;
  }
}

/** White space for GPT-2's pre-tokenizer or for JavaScript. */
const ANY_SPACE = /[\s\x85]/;

/**
 * Whether text can be cut before the character at `at`. JavaScript's white space lacks U+0085 and has U+FEFF where the
 * pre-tokenizer's is the other way round: next to either, nothing is cut.
 */
export function isCut(text: string, at: number): boolean {
  const after = text.charCodeAt(at);
  if (after !== 32 && after !== 10 && after !== 13 && after !== 9) return false;
  if (at === 0) return false;
  const before = text.charCodeAt(at - 1);
  return before > 32 && before < 127 || !ANY_SPACE.test(text[at - 1]);
}
