/**
 * From a `--data` argument to batches: a folder of shards is read where it lies, text is tokenized into memory.
 *
 * @module
 */
import type { Batches, BatchOptions } from "./batches.ts";
import { Dataset } from "./dataset.ts";
import { DocumentEncoder, encodeText } from "./encode.ts";
import { DataError } from "./errors.ts";
import { ShardDataset } from "./shards/shard_dataset.ts";
import { loadText, type TextOptions } from "./text.ts";
import { parseTextFile, readJsonLines } from "./text_file.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What a source's tokens must be of. */
export type TokenizerFacts = Pick<Tokenizer, "name" | "vocabularySize" | "endOfText">;

/** How a source is opened. */
export interface OpenDataOptions extends BatchOptions, TextOptions {
  /** Is told how much of a text is tokenized, from 0 to 1; not for JSON lines, whose end is not known. */
  readonly onProgress?: (done: number) => void;
}

/** Between documents where the tokenizer has no token for it. */
const BLANK_LINE = "\n\n";

/**
 * Opens what a `--data` argument names.
 *
 * @param source `moby-dick`, `shakespeare`, `text:FILE` or `shards:DIR`. FILE is UTF-8 text or, by its name, gzip'd text
 * (`.gz`), JSON lines (`.jsonl`, `.jsonl.gz`) with the text under `text` or under KEY in `text:FILE.jsonl#KEY`.
 * @param tokenizer Text becomes its tokens; shards must hold them already, and do so for GPT-2's alone.
 * @throws {DataError} in one line, when there is no such source or it cannot be used.
 *
 * @example
 * ```ts
 * import { loadTokenizer, openData } from "@sinter/sinter/data";
 * const tokenizer = await loadTokenizer("gpt2");
 * const data = await openData("moby-dick", tokenizer, { batch: 4, context: 128, seed: 1 });
 * const { tokens, targets } = data.batchAt(0); // both [4 x 128]
 * data.close();
 * ```
 */
export async function openData(
  source: string,
  tokenizer: TokenizerFacts,
  options: OpenDataOptions,
): Promise<Batches> {
  const { batch, context, seed } = options;
  if (source.startsWith("shards:")) {
    if (tokenizer.name !== "gpt2") {
      throw new DataError(
        source,
        `shards hold GPT-2's tokens, and the tokenizer here is ${tokenizer.name}`,
        "use --tokenizer gpt2, or text for this one",
      );
    }
    const vocabulary = tokenizer.vocabularySize;
    return await ShardDataset.open(source.slice("shards:".length), { batch, context, seed, vocabulary });
  }
  return new Dataset(source, await loadTokens(source, tokenizer, options), { batch, context, seed });
}

/**
 * Tokens of a text source, as {@link openData} takes it. Documents of JSON lines have `<|endoftext|>` before each, or empty
 * lines between them where the tokenizer has no such token.
 *
 * @throws {DataError} in one line, when there is no such source or it cannot be used.
 */
export async function loadTokens(
  source: string,
  { name, endOfText }: TokenizerFacts,
  { onProgress, ...options }: TextOptions & Pick<OpenDataOptions, "onProgress"> = {},
): Promise<Uint16Array<ArrayBuffer>> {
  const file = source.startsWith("text:") ? parseTextFile(source.slice("text:".length)) : undefined;
  const key = file?.key;
  if (!file || key === undefined) {
    return await encodeText(name, await loadText(source, options), { onProgress });
  }
  using encoder = new DocumentEncoder(name, endOfText);
  let isFirst = true;
  await readJsonLines(source, { path: file.path, key }, async (text) => {
    await encoder.add(isFirst || endOfText !== undefined ? text : BLANK_LINE + text);
    isFirst = false;
  });
  return await encoder.finish();
}
