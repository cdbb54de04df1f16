/**
 * The last step from tokens to text, which the tokenizers share.
 *
 * @module
 */

/** UTF-8 to text: incomplete characters become U+FFFD, and a byte order mark stays, since it was in the text. */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/**
 * Refuses a token.
 *
 * @throws {RangeError} always, naming the token and the vocabulary.
 */
export function tokenOutside(token: number, vocabularySize: number): never {
  throw new RangeError(`token ${token} is outside the vocabulary of ${vocabularySize}`);
}
