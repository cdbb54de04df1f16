/**
 * The Worker that turns documents into tokens: texts, or a row group of a parquet file, which it decodes itself, so that
 * neither decoding nor copies of text burden the thread that writes.
 *
 * @module
 */
import { ChunkEncoder } from "../chunk_encoder.ts";
import { DataError } from "../errors.ts";
import { loadTokenizer, type TokenizerName } from "../tokenizer.ts";
import { ParquetText } from "./parquet.ts";

/** Documents: those of a row group, or given as they are. */
export type Documents =
  | { readonly path: string; readonly column: string; readonly group: number }
  | { readonly texts: readonly string[] };

/** What the Worker is asked. */
export interface TokenizeRequest {
  readonly tokenizer: TokenizerName;
  /** Stands before each document. */
  readonly separator: number;
  readonly documents: Documents;
}

/** Tokens of documents, one after the other. */
export interface TokenizedDocuments {
  readonly tokens: Uint16Array<ArrayBuffer>;
  /** Documents they are of. */
  readonly count: number;
}

/** What it answers; a problem is one that the user can put right. */
export type TokenizeReply = TokenizedDocuments | {
  readonly problem: { readonly source: string; readonly problem: string; readonly remedy: string };
};

interface WorkerScope {
  onmessage: ((message: MessageEvent<TokenizeRequest>) => void) | null;
  postMessage(reply: TokenizeReply, transfer: Transferable[]): void;
}

const worker = self as unknown as WorkerScope;
let encoder: Promise<ChunkEncoder> | undefined;
let open: ParquetText | undefined;

/** The answer before: whoever asks takes answers in the order of the questions. */
let last: Promise<void> = Promise.resolve();

worker.onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};

async function answer({ tokenizer, separator, documents }: TokenizeRequest): Promise<void> {
  encoder ??= loadTokenizer(tokenizer).then(({ encode }) => new ChunkEncoder(encode));
  const chunks = await encoder;
  try {
    const texts = await textsOf(documents);
    for (const text of texts) {
      chunks.addToken(separator);
      chunks.add(text);
    }
    const tokens = chunks.take();
    worker.postMessage({ tokens, count: texts.length }, [tokens.buffer]);
  } catch (thrown) {
    if (!(thrown instanceof DataError)) throw thrown;
    const { source, problem, remedy } = thrown;
    worker.postMessage({ problem: { source, problem, remedy } }, []);
  }
}

async function textsOf(documents: Documents): Promise<readonly string[]> {
  if ("texts" in documents) return documents.texts;
  const { path, column, group } = documents;
  if (open?.path !== path || open.column !== column) {
    open?.close();
    open = undefined;
    open = await ParquetText.open(path, column);
  }
  return await open.read(group);
}
