/**
 * What every tokenizer offers. Encoding is exact and reversible: decoding the tokens of a text gives the text.
 *
 * @module
 */
import { byteTokenizer } from "./byte_tokenizer.ts";
import { gpt2Tokenizer } from "./gpt2_tokenizer.ts";

/** Names of the tokenizers. */
export const TOKENIZERS = ["bytes", "gpt2"] as const;

/** Name of a tokenizer. */
export type TokenizerName = (typeof TOKENIZERS)[number];

/** Text to tokens and back. */
export interface Tokenizer {
  /** What {@link loadTokenizer} calls it. */
  readonly name: TokenizerName;
  /** Tokens are numbers below this. */
  readonly vocabularySize: number;
  /** The token that separates documents, if there is one; ordinary text never yields it. */
  readonly endOfText?: number;
  /** Tokens of a text. */
  encode(text: string): Uint16Array<ArrayBuffer>;
  /**
   * The bytes that tokens stand for; a token of GPT-2 may be part of a character.
   *
   * @throws {RangeError} when a token is outside the vocabulary.
   */
  decodeBytes(tokens: ArrayLike<number>): Uint8Array<ArrayBuffer>;
  /**
   * The text that tokens stand for; an incomplete character becomes U+FFFD.
   *
   * @throws {RangeError} when a token is outside the vocabulary.
   */
  decode(tokens: ArrayLike<number>): string;
  /** Contents of Hugging Face's `tokenizer.json`, to lie beside a checkpoint. */
  file(): string;
}

/**
 * The tokenizer of that name. GPT-2's takes a few hundred milliseconds to set up.
 *
 * @example
 * ```ts
 * import { loadTokenizer } from "@sinter/sinter/data";
 * const tokenizer = await loadTokenizer("bytes");
 * console.log(tokenizer.decode(tokenizer.encode("whale")));
 * ```
 */
export async function loadTokenizer(name: TokenizerName): Promise<Tokenizer> {
  return name === "bytes" ? byteTokenizer() : await gpt2Tokenizer();
}
