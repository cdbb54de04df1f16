/**
 * One continuation of a prompt on its way: which tokens are known, which are being drawn, and what has gone out. Pure
 * bookkeeping; the batcher decides when it is its turn.
 *
 * @module
 */
import type { Tokenizer } from "../data/mod.ts";
import type { StepRow } from "./decoder.ts";
import type { FinishReason, GenerationRequest } from "./generation.ts";
import { randomKey } from "./random_keys.ts";
import { type TextPart, TextStream, type TokenDetails } from "./text_stream.ts";
import { windowStart } from "./window.ts";

/** What one draw gave. */
export interface Draw {
  readonly token: number;
  readonly logprob?: number;
  readonly top?: readonly { readonly token: number; readonly logprob: number }[];
}

/** Why a sequence cannot take part in the next step. */
export type Standing =
  /** It can. */
  | { readonly kind: "ready" }
  /** Tokens from `start` up to, not including, `end` have to be in the cache first. */
  | { readonly kind: "fill"; readonly start: number; readonly end: number }
  /** What it needs is being drawn. */
  | { readonly kind: "waiting" }
  /** All of its tokens are drawn, or being drawn. */
  | { readonly kind: "over" };

/** A sequence of a request. */
export class Sequence {
  /** Place in the cache, while it has one. */
  slot = -1;
  /** Set when it is to be drawn no further; `cancelled` when nobody wants to know. */
  ended?: FinishReason | "cancelled";
  /** Draws that are under way. */
  pending = 0;
  readonly #tokens: number[];
  readonly #text: TextStream;
  readonly #total: number;
  /** Index of the token that it feeds next. */
  #next: number;
  #windowStart = -1;
  /** Draws whose results have come. */
  #received: number;

  constructor(
    readonly request: GenerationRequest,
    readonly choice: number,
    readonly prompt: readonly number[],
    readonly context: number,
    readonly tokenizer: Tokenizer,
  ) {
    this.#tokens = [...prompt];
    this.#total = prompt.length + request.maxTokens;
    // The prompt's own log-probabilities come from feeding it token by token.
    const scoresPrompt = request.echo === true && request.logprobs !== undefined;
    this.#next = scoresPrompt ? 0 : prompt.length - 1;
    this.#received = this.#next;
    this.#text = new TextStream(tokenizer, request.stop);
    if (request.echo) {
      for (const token of scoresPrompt ? prompt.slice(0, 1) : prompt) {
        this.#text.echo(token);
      }
    }
    if (this.#next + 1 >= this.#total) this.ended = "length";
  }

  /** Tokens that were drawn for it so far. */
  get completionTokens(): number {
    return Math.max(0, this.#tokens.length - this.prompt.length);
  }

  /** True until the first result has come. */
  get isFresh(): boolean {
    return this.#received < this.prompt.length;
  }

  /** Tokens that the text has. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** What it needs to take part in a step. */
  get standing(): Standing {
    const at = this.#next;
    if (at + 1 >= this.#total) return { kind: "over" };
    const start = windowStart(at, this.context);
    if (start === this.#windowStart) return { kind: "ready" };
    return at < this.#tokens.length ? { kind: "fill", start, end: at } : { kind: "waiting" };
  }

  /** Notes that the cache has been filled as {@link standing} asked. Its slot feeds the token of index `end` next. */
  noteFilled({ start }: { readonly start: number }): void {
    this.#windowStart = start;
  }

  /** The next step of it, which is taken. */
  advance(): StepRow {
    const at = this.#next++;
    this.pending++;
    const { sampling } = this.request;
    return {
      slot: this.slot,
      position: at - this.#windowStart,
      sampling,
      key: randomKey((sampling.seed + this.choice) >>> 0, "tokens", at),
      ...at + 1 < this.prompt.length ? { forced: this.prompt[at + 1] } : {},
    };
  }

  /** Takes the result of the oldest draw under way. */
  receive({ token, ...details }: Draw): void {
    this.pending--;
    const at = ++this.#received;
    if (this.ended) return;
    if (at < this.prompt.length) {
      this.#text.echo(token, this.#describe(details));
      this.#endWhenFull(at);
      return;
    }
    this.#tokens.push(token);
    if (token === this.tokenizer.endOfText) this.ended = "stop";
    else if (this.#text.push(token, this.#describe(details))) this.ended = "stop";
    else this.#endWhenFull(at);
  }

  #endWhenFull(at: number): void {
    if (at + 1 === this.#total) this.ended = "length";
  }

  /** Text that has become certain; all of it once the sequence has ended. */
  take(): TextPart {
    if (this.ended) this.#text.end();
    return this.#text.take();
  }

  #describe({ logprob, top }: Omit<Draw, "token">): TokenDetails {
    if (logprob === undefined) return {};
    const named = top?.slice(0, this.request.logprobs).map((other) => ({
      ...other,
      text: this.tokenizer.decode([other.token]),
    }));
    return { logprob, ...named ? { top: named } : {} };
  }
}
