/**
 * Answers in the form of OpenAI's completions: whole, or as chunks of a stream that ends with `[DONE]`.
 *
 * @module
 */
import type { FinishReason, GeneratedToken, GenerationEvent } from "../../model/generation.ts";
import type { GenerationService } from "../services.ts";
import { type Codes, failureOf, TokenCutter, type WholeAnswer } from "./answer.ts";
import type { ServerSentEvent } from "./sse.ts";

/** OpenAI's codes of failures. */
export const OPENAI_CODES: Codes = {
  unknown_model: "model_not_found",
  prompt_too_long: "context_length_exceeded",
  queue_full: "rate_limit_exceeded",
};

/** What all parts of an answer say. */
export interface CompletionHead {
  readonly id: string;
  readonly object: "text_completion";
  readonly created: number;
  readonly model: string;
}

/** The head of a new answer. */
export function headOf(model: string): CompletionHead {
  return {
    id: `cmpl-${crypto.randomUUID().replaceAll("-", "")}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model,
  };
}

/** OpenAI knows no deadlines. */
function finishReasonOf(reason: FinishReason): "stop" | "length" {
  return reason === "stop" ? "stop" : "length";
}

function logprobsOf(tokens: readonly GeneratedToken[]) {
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? null),
    top_logprobs: tokens.map(({ text, logprob, top }) =>
      // The token itself is always among them. Of tokens with one text the likeliest counts: it is set last.
      top === undefined || logprob === undefined ? null : Object.fromEntries([
        [text, logprob],
        ...top.map((other) => [other.text, other.logprob ?? 0]).reverse(),
      ])
    ),
    text_offset: tokens.map(({ textOffset }) => textOffset),
  };
}

function usageOf(answers: readonly { readonly promptTokens: number; readonly completionTokens: number }[]) {
  const [prompt, completion] = [
    answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    answers.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
  ];
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** A whole answer to several prompts, whose choices are numbered through. */
export function completionOf(head: CompletionHead, answers: readonly WholeAnswer[], wantsLogprobs: boolean) {
  return {
    ...head,
    choices: answers.flatMap(({ choices }) => choices).map(({ text, tokens, finishReason }, index) => ({
      index,
      text,
      logprobs: wantsLogprobs ? logprobsOf(tokens) : null,
      finish_reason: finishReasonOf(finishReason),
    })),
    usage: usageOf(answers),
  };
}

/** What a stream is to contain. */
export interface ChunkOptions {
  /** Choices of each prompt. */
  readonly choices: number;
  readonly wantsLogprobs: boolean;
  /** A last chunk with the usage is wanted, and `usage: null` in the others. */
  readonly wantsUsage: boolean;
}

/** The events of several prompts as chunks. */
export async function* chunksOf(
  head: CompletionHead,
  events: AsyncIterable<readonly [prompt: number, event: GenerationEvent]>,
  service: GenerationService,
  { choices, wantsLogprobs, wantsUsage }: ChunkOptions,
): AsyncGenerator<ServerSentEvent> {
  const cutters = new Map<number, TokenCutter>();
  const ended: Extract<GenerationEvent, { kind: "end" }>[] = [];
  const say = (index: number, text: string, logprobs: unknown, finish: string | null) => ({
    data: JSON.stringify({
      ...head,
      choices: [{ index, text, logprobs, finish_reason: finish }],
      ...wantsUsage ? { usage: null } : {},
    }),
  });
  for await (const [prompt, event] of events) {
    const indexOf = (choice: number) => prompt * choices + choice;
    switch (event.kind) {
      case "text": {
        const cutter = cutters.get(prompt) ?? new TokenCutter();
        cutters.set(prompt, cutter);
        for (const { token, text } of cutter.cut(event)) {
          yield say(indexOf(event.choice), text, wantsLogprobs && token ? logprobsOf([token]) : null, null);
        }
        break;
      }
      case "finish":
        yield say(indexOf(event.choice), "", null, finishReasonOf(event.reason));
        break;
      case "end":
        ended.push(event);
        break;
      case "failure":
        yield { data: JSON.stringify(failureOf(event, service, OPENAI_CODES)) };
        return;
    }
  }
  if (wantsUsage) yield { data: JSON.stringify({ ...head, choices: [], usage: usageOf(ended) }) };
  yield { data: "[DONE]" };
}

/** Events of several sources as they come, each with the number of its source. */
export async function* merged<T>(
  sources: readonly AsyncIterator<T>[],
): AsyncGenerator<readonly [source: number, value: T]> {
  const ask = (i: number) => {
    const asked = sources[i].next().then((result) => ({ i, result }));
    asked.catch(() => {}); // it may fail while nobody waits for it; whoever waits next is told
    return asked;
  };
  const waiting = new Map(sources.map((_, i) => [i, ask(i)]));
  try {
    while (waiting.size > 0) {
      const { i, result } = await Promise.race(waiting.values());
      waiting.delete(i);
      if (result.done) continue;
      waiting.set(i, ask(i)); // behind the others, which may be ready too
      yield [i, result.value];
    }
  } finally {
    for (const source of sources) source.return?.().catch(() => {});
  }
}
