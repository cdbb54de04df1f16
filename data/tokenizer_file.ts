/**
 * From a `tokenizer.json` back to the tokenizer that wrote it. Two files are the same tokenizer when vocabulary and merges
 * are; how they are laid out, and by which version of which program, does not matter.
 *
 * @module
 */
import { DataError } from "./errors.ts";
import { loadTokenizer, type Tokenizer, TOKENIZERS } from "./tokenizer.ts";

interface Bpe {
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs joined by a space, in the order of their ranks. */
  readonly merges: readonly string[];
}

/**
 * The tokenizer whose `tokenizer.json` this is.
 *
 * @param source Name of the file, for messages.
 * @param text Its contents, as {@link Tokenizer.file} gives them or as Hugging Face publishes GPT-2's.
 * @throws {DataError} when it is no byte-level BPE, or another one than GPT-2's or the bytes.
 *
 * @example
 * ```ts
 * import { loadTokenizer, tokenizerFromFile } from "@sinter/sinter/data";
 * const file = (await loadTokenizer("bytes")).file();
 * console.log((await tokenizerFromFile("tokenizer.json", file)).name); // bytes
 * ```
 */
export async function tokenizerFromFile(source: string, text: string): Promise<Tokenizer> {
  const found = parseBpe(text);
  if (!found) throw new DataError(source, "is no byte-pair encoding's tokenizer.json", REMEDY);
  const size = Object.keys(found.vocab).length;
  for (const name of TOKENIZERS) {
    const tokenizer = await loadTokenizer(name);
    if (size === tokenizer.vocabularySize && isSame(found, parseBpe(tokenizer.file())!)) return tokenizer;
  }
  throw new DataError(source, `describes an unknown tokenizer of ${size} tokens`, REMEDY);
}

const REMEDY = "use the tokenizer.json of a checkpoint of Sinter's, or GPT-2's";

function parseBpe(text: string): Bpe | undefined {
  let model: unknown;
  try {
    model = JSON.parse(text)?.model;
  } catch {
    return undefined;
  }
  const { vocab, merges } = (model ?? {}) as Record<string, unknown>;
  if (typeof vocab !== "object" || vocab === null || !Array.isArray(merges)) return undefined;
  // Newer files hold each merge as a pair, older ones as one string.
  const joined = merges.map((merge) => Array.isArray(merge) ? merge.join(" ") : String(merge));
  return { vocab: vocab as Record<string, number>, merges: joined };
}

function isSame(a: Bpe, b: Bpe): boolean {
  return a.merges.length === b.merges.length && a.merges.every((merge, rank) => merge === b.merges[rank]) &&
    Object.entries(a.vocab).every(([token, id]) => b.vocab[token] === id);
}
