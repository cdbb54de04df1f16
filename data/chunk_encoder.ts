/**
 * Tokenizes large amounts of text by remembering: text is cut where a pre-tokenizer always cuts, and the same few chunks,
 * a word and what clings to it, come again and again. Chunks that are not remembered go to the tokenizer, so the tokens are
 * exactly the tokenizer's.
 *
 * @module
 */
import { isCut } from "./encode.ts";

/** Longer chunks hardly ever come again. */
const MAX_REMEMBERED = 40;
/** Chunks of a generation; two of them take some 30 MB. */
const GENERATION = 1 << 17;

type Tokens = Uint16Array<ArrayBuffer>;

/** Tokenizes text with a memory for its chunks. */
export class ChunkEncoder {
  #young = new Map<string, Tokens>();
  #old = new Map<string, Tokens>();
  #out = new Uint16Array(1 << 16);
  #count = 0;

  /** @param encode The tokenizer's; its pre-tokenizer must be GPT-2's. */
  constructor(private readonly encode: (text: string) => Tokens) {}

  /** Adds one token. */
  addToken(token: number): void {
    this.#reserve(1);
    this.#out[this.#count++] = token;
  }

  /** Adds a text's tokens. */
  add(text: string): void {
    let start = 0;
    for (let end = 1; end <= text.length; end++) {
      if (end < text.length && !isCut(text, end)) continue;
      const tokens = this.#tokens(text.slice(start, end));
      this.#reserve(tokens.length);
      for (let i = 0; i < tokens.length; i++) this.#out[this.#count++] = tokens[i];
      start = end;
    }
  }

  /** What was added since the last call. */
  take(): Tokens {
    const tokens = this.#out.slice(0, this.#count);
    this.#count = 0;
    return tokens;
  }

  #tokens(chunk: string): Tokens {
    const young = this.#young.get(chunk);
    if (young) return young;
    const tokens = this.#old.get(chunk) ?? this.encode(chunk);
    if (chunk.length <= MAX_REMEMBERED) {
      if (this.#young.size >= GENERATION) {
        this.#old = this.#young;
        this.#young = new Map();
      }
      // A slice would keep the whole text in memory; what is joined anew does not.
      this.#young.set(chunk.split("").join(""), tokens);
    }
    return tokens;
  }

  #reserve(count: number): void {
    if (this.#count + count <= this.#out.length) return;
    const larger = new Uint16Array(2 * (this.#count + count));
    larger.set(this.#out.subarray(0, this.#count));
    this.#out = larger;
  }
}
