/**
 * A model that says one text over and over, a letter a token, from a place that the seed chooses.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import {
  type FinishReason,
  type GeneratedToken,
  type GenerationEvent,
  type GenerationRequest,
  PRESETS,
} from "../../model/mod.ts";
import type { GenerationLoad, GenerationService, ServedModel } from "../../server/services.ts";

/** What the model says: token by token, letter by letter, its codes as tokens. */
export const FAKE_TEXT = "Call me Ishmael. ";

/** How a fake behaves. */
export interface FakeGenerationOptions {
  /** Milliseconds that a token takes; 0: none at all. */
  readonly tokenMs?: number;
  readonly slots?: number;
  readonly maxWaiting?: number;
}

const MODEL = "first";

/** Answers without a model. */
export class FakeGeneration implements GenerationService {
  readonly #tokenMs: number;
  readonly #slots: number;
  readonly #maxWaiting: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #promptTokens = 0;
  #completionTokens = 0;
  /** When set, `generate` and `models` throw it: something inside went wrong. */
  broken: Error | undefined;

  constructor({ tokenMs = 0, slots = 8, maxWaiting = 8 }: FakeGenerationOptions = {}) {
    this.#tokenMs = tokenMs;
    this.#slots = slots;
    this.#maxWaiting = maxWaiting;
  }

  models(): Promise<readonly ServedModel[]> {
    if (this.broken) return Promise.reject(this.broken);
    const config = PRESETS.nano;
    return Promise.resolve([
      { id: MODEL, created: 1_700_000_000, step: 60, config, tokenizer: "bytes", isLoaded: true },
    ]);
  }

  load(): GenerationLoad {
    return {
      running: this.#running,
      slots: this.#slots,
      waiting: this.#queue.length,
      maxWaiting: this.#maxWaiting,
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      deviceBytes: 1 << 20,
      retryAfter: 2,
    };
  }

  async *generate(
    model: string | undefined,
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent> {
    if (this.broken) throw this.broken;
    const arrival = performance.now();
    const prompt = typeof request.prompt === "string"
      ? Array.from(new TextEncoder().encode(request.prompt))
      : request.prompt;
    if (model !== undefined && model !== MODEL) {
      yield { kind: "failure", code: "unknown_model", message: `There is no model ${model}.` };
      return;
    }
    const { context } = PRESETS.nano;
    if (prompt.length >= context) {
      const message = `The prompt has ${prompt.length} tokens; the model takes ${context - 1}.`;
      yield { kind: "failure", code: "prompt_too_long", message };
      return;
    }
    if (this.#running >= this.#slots) {
      if (this.#queue.length >= this.#maxWaiting) {
        yield { kind: "failure", code: "queue_full", message: "All places are taken; try again later." };
        return;
      }
      await this.#wait(signal);
    } else this.#running++;
    if (signal.aborted) return;
    try {
      this.#promptTokens += prompt.length;
      yield* this.#answer(prompt, request, signal, arrival);
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#running--;
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#queue.push(resolve);
    const leave = () => {
      const at = this.#queue.indexOf(resolve);
      if (at >= 0) this.#queue.splice(at, 1);
      resolve();
    };
    signal.addEventListener("abort", leave, { once: true });
    await promise;
    signal.removeEventListener("abort", leave);
  }

  async *#answer(
    prompt: readonly number[],
    request: GenerationRequest,
    signal: AbortSignal,
    arrival: number,
  ): AsyncGenerator<GenerationEvent> {
    const choices = Array.from({ length: request.choices }, (_, index) => new Choice(index, request));
    if (request.echo) { for (const choice of choices) yield choice.echo(prompt); }
    let firstTokenMs = 0;
    let completionTokens = 0;
    for (let round = 0; choices.some((choice) => !choice.isOver); round++) {
      if (this.#tokenMs > 0) await delay(this.#tokenMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      const isLate = performance.now() - arrival > (request.deadlineMs ?? Infinity);
      for (const choice of choices) {
        if (choice.isOver) continue;
        if (isLate) yield choice.end("deadline");
        else {
          yield* choice.step();
          completionTokens++;
          this.#completionTokens++;
        }
      }
      if (round === 0) firstTokenMs = performance.now() - arrival;
    }
    yield { kind: "end", promptTokens: prompt.length, completionTokens, firstTokenMs };
  }
}

/** One continuation. */
class Choice {
  isOver = false;
  #text = "";
  #sent = 0;
  #drawn = 0;
  #held: GeneratedToken[] = [];

  constructor(private readonly index: number, private readonly request: GenerationRequest) {}

  echo(prompt: readonly number[]): GenerationEvent {
    const text = new TextDecoder().decode(Uint8Array.from(prompt));
    const { logprobs } = this.request;
    const tokens = prompt.map((code, at) => ({
      ...token(code, at, logprobs),
      logprob: at === 0 ? undefined : -1,
    }));
    this.#text = text;
    this.#sent = text.length;
    return { kind: "text", choice: this.index, text, tokens };
  }

  *step(): Generator<GenerationEvent> {
    const { sampling: { seed, temperature }, logprobs, maxTokens, stop } = this.request;
    const from = temperature === 0 ? 0 : seed + this.index;
    const code = FAKE_TEXT.charCodeAt((from + this.#drawn) % FAKE_TEXT.length);
    if (maxTokens > 0) {
      this.#held.push(token(code, this.#text.length, logprobs));
      this.#text += String.fromCharCode(code);
      this.#drawn++;
    }
    const found = stop.map((text) => this.#text.indexOf(text, this.#sent)).filter((at) => at >= 0);
    const isStopped = found.length > 0;
    const isFull = this.#drawn >= maxTokens;
    const longest = Math.max(0, ...stop.map((text) => text.length - 1));
    const until = isStopped
      ? Math.min(...found)
      : isFull
      ? this.#text.length
      : Math.max(this.#sent, this.#text.length - longest);
    const tokens = isStopped || isFull ? this.#held : this.#held.filter((held) => held.textOffset < until);
    this.#held = this.#held.filter((held) => !tokens.includes(held));
    if (tokens.length > 0) {
      yield { kind: "text", choice: this.index, text: this.#text.slice(this.#sent, until), tokens };
    }
    this.#sent = until;
    if (isStopped || isFull) yield this.end(isStopped ? "stop" : "length");
  }

  end(reason: FinishReason): GenerationEvent {
    this.isOver = true;
    return { kind: "finish", choice: this.index, reason };
  }
}

function token(code: number, textOffset: number, logprobs: number | undefined): GeneratedToken {
  const alternative = (other: number) => ({
    token: other,
    text: String.fromCharCode(other),
    logprob: -0.5 - Math.abs(other - code),
  });
  const top = logprobs === undefined
    ? undefined
    : Array.from({ length: logprobs }, (_, at) => alternative(code + at));
  return { ...alternative(code), textOffset, ...(top ? { top } : {}) };
}
