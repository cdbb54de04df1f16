/**
 * The Worker that tokenizes: asked with a tokenizer's name and texts, it answers with their tokens.
 *
 * @module
 */
import { joinTokens } from "./join_tokens.ts";
import { loadTokenizer, type Tokenizer, type TokenizerName } from "./tokenizer.ts";

/** What the Worker is asked. */
export interface EncodeRequest {
  readonly tokenizer: TokenizerName;
  /** Their tokens are joined. */
  readonly texts: readonly string[];
  /** Puts this token before each text. */
  readonly separator?: number;
}

/** What it answers. */
export interface EncodeReply {
  readonly tokens: Uint16Array<ArrayBuffer>;
}

interface WorkerScope {
  onmessage: ((message: MessageEvent<EncodeRequest>) => void) | null;
  postMessage(reply: EncodeReply, transfer: Transferable[]): void;
}

const worker = self as unknown as WorkerScope;
let loaded: Promise<Tokenizer> | undefined;

worker.onmessage = async ({ data: { tokenizer, texts, separator } }) => {
  loaded ??= loadTokenizer(tokenizer);
  const { encode } = await loaded;
  const before = separator === undefined ? [] : [Uint16Array.of(separator)];
  const tokens = joinTokens(texts.flatMap((text) => [...before, encode(text)]));
  worker.postMessage({ tokens }, [tokens.buffer]);
};
