/**
 * The smallest tokenizer: a token is a byte of UTF-8. It makes small models quick, since their head has 256 rows instead
 * of 50,257.
 *
 * @module
 */
import { decodeUtf8, tokenOutside } from "./decode.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A token for each byte. */
export function byteTokenizer(): Tokenizer {
  const decodeBytes = (tokens: ArrayLike<number>) =>
    Uint8Array.from(tokens, (token) => token >= 0 && token < 256 ? token : tokenOutside(token, 256));
  return {
    name: "bytes",
    vocabularySize: 256,
    encode: (text) => new Uint16Array(new TextEncoder().encode(text)),
    decodeBytes,
    decode: (tokens) => decodeUtf8(decodeBytes(tokens)),
    file: () => {
      const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte]));
      return JSON.stringify(bpeFile(vocab, [], []));
    },
  };
}

/**
 * GPT-2's printable stand-in for a byte: printable Latin-1 characters stand for themselves, the other 68 bytes for the
 * characters from U+0100 on, in order (Radford et al. 2019, `bytes_to_unicode`).
 */
export function byteCharacter(byte: number): string {
  const printable = (value: number) =>
    (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || (value >= 174 && value <= 255);
  if (printable(byte)) return String.fromCharCode(byte);
  let before = 0;
  for (let other = 0; other < byte; other++) if (!printable(other)) before++;
  return String.fromCharCode(256 + before);
}

/** Contents of a byte-level BPE `tokenizer.json`. */
export function bpeFile(
  vocab: Readonly<Record<string, number>>,
  merges: readonly string[],
  special: readonly string[],
) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({ id: vocab[content], content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      vocab,
      merges,
    },
  };
}
