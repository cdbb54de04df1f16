/**
 * Joins what pieces of text were tokenized to.
 *
 * @module
 */

/** One array of all tokens; the part itself if there is but one. */
export function joinTokens(parts: readonly Uint16Array<ArrayBuffer>[]): Uint16Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const tokens = new Uint16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    tokens.set(part, at);
    at += part.length;
  }
  return tokens;
}
