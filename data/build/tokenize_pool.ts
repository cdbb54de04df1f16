/**
 * Several Workers that tokenize, with results in the order of the questions and a bounded number of them under way.
 *
 * @module
 */
import { DataError } from "../errors.ts";
import type { TokenizerName } from "../tokenizer.ts";
import type { Documents, TokenizedDocuments, TokenizeReply, TokenizeRequest } from "./tokenize_worker.ts";

/** Questions under way for each Worker: the one it answers, and one that is ready when it has. */
const PER_WORKER = 2;

/** A pool of Workers for one tokenizer. */
export class TokenizePool {
  readonly #workers: readonly TokenizeWorker[];

  /** @param separator Token before each document. */
  constructor(workers: number, tokenizer: TokenizerName, separator: number) {
    this.#workers = Array.from({ length: workers }, () => new TokenizeWorker(tokenizer, separator));
  }

  /**
   * Tokenizes documents as they come; what goes with them comes back with their tokens.
   *
   * @throws {DataError} when documents cannot be read.
   */
  async *run<Place>(
    questions: AsyncIterable<{ readonly place: Place; readonly documents: Documents }>,
  ): AsyncGenerator<TokenizedDocuments & { readonly place: Place }> {
    const waiting: Promise<TokenizedDocuments & { readonly place: Place }>[] = [];
    for await (const { place, documents } of questions) {
      const answer = this.#least().ask(documents).then((found) => ({ ...found, place }));
      answer.catch(() => {}); // it is thrown when its turn comes
      waiting.push(answer);
      if (waiting.length >= PER_WORKER * this.#workers.length) yield await waiting.shift()!;
    }
    while (waiting.length > 0) yield await waiting.shift()!;
  }

  #least(): TokenizeWorker {
    return this.#workers.reduce((least, worker) => worker.underWay < least.underWay ? worker : least);
  }

  /** Ends the Workers. */
  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

interface Pending {
  resolve(found: TokenizedDocuments): void;
  reject(problem: unknown): void;
}

/** A Worker that answers one question after the other. */
class TokenizeWorker {
  readonly #worker = new Worker(new URL("./tokenize_worker.ts", import.meta.url), { type: "module" });
  readonly #pending: Pending[] = [];

  constructor(private readonly tokenizer: TokenizerName, private readonly separator: number) {
    this.#worker.onmessage = ({ data }: MessageEvent<TokenizeReply>) => {
      const asked = this.#pending.shift()!;
      if (!("problem" in data)) return asked.resolve(data);
      const { source, problem, remedy } = data.problem;
      asked.reject(new DataError(source, problem, remedy));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const problem = new Error(`tokenizing failed: ${event.message}`);
      for (const { reject } of this.#pending.splice(0)) reject(problem);
    };
  }

  /** Questions that it has not answered yet. */
  get underWay(): number {
    return this.#pending.length;
  }

  ask(documents: Documents): Promise<TokenizedDocuments> {
    const { tokenizer, separator } = this;
    this.#worker.postMessage({ tokenizer, separator, documents } satisfies TokenizeRequest);
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }));
  }

  terminate(): void {
    this.#worker.terminate();
  }
}
