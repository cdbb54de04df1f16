/**
 * The Worker that tokenizes: asked with a tokenizer's name and pieces of text, it answers each with its tokens.
 *
 * @module
 */
import { loadTokenizer, type Tokenizer, type TokenizerName } from "./tokenizer.ts";

/** What the Worker is asked. */
export interface EncodeRequest {
  readonly tokenizer: TokenizerName;
  readonly text: string;
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

worker.onmessage = async ({ data: { tokenizer, text } }) => {
  loaded ??= loadTokenizer(tokenizer);
  const tokens = (await loaded).encode(text);
  worker.postMessage({ tokens }, [tokens.buffer]);
};
