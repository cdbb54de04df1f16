/**
 * From events of the service to answers: the first event is looked at before anything is sent, so a request that is refused
 * gets a status and not a broken stream.
 *
 * @module
 */
import type {
  FinishReason,
  GeneratedToken,
  GenerationEvent,
  GenerationFailure,
} from "../../model/generation.ts";
import { ApiError } from "../http/error.ts";
import type { GenerationService } from "../services.ts";
import type { ServerSentEvent } from "./sse.ts";

/** Status of each failure. */
const STATUS: Readonly<Record<GenerationFailure, number>> = {
  bad_request: 400,
  prompt_too_long: 400,
  unknown_model: 404,
  queue_full: 429,
  device_lost: 503,
  shutting_down: 503,
};

/** Codes of an API, where they are not our own. */
export type Codes = Partial<Readonly<Record<GenerationFailure, string>>>;

/** Fields that are to blame. */
const PARAMS: Partial<Readonly<Record<GenerationFailure, string>>> = {
  bad_request: "prompt",
  prompt_too_long: "prompt",
  unknown_model: "model",
};

/** Failure of a request, as it is told. */
export function failureOf(
  { code, message }: Extract<GenerationEvent, { kind: "failure" }>,
  service: GenerationService,
  codes: Codes = {},
): ApiError {
  const status = STATUS[code];
  const retryAfter = status === 429 ? service.load().retryAfter : status === 503 ? 1 : undefined;
  const param = PARAMS[code];
  return new ApiError(status, codes[code] ?? code, message, {
    ...param === undefined ? {} : { param },
    ...retryAfter === undefined ? {} : { retryAfter },
  });
}

/** Events of a request that has begun. Returning frees its places, also when no event has been taken. */
export interface BegunEvents extends AsyncIterableIterator<GenerationEvent> {
  return(): Promise<IteratorResult<GenerationEvent>>;
}

/**
 * The same events, once the first one is known to be no failure.
 *
 * @throws {ApiError} when it is one.
 */
export async function begun(
  events: AsyncIterable<GenerationEvent>,
  service: GenerationService,
  codes?: Codes,
): Promise<BegunEvents> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (!first.done && first.value.kind === "failure") {
    await iterator.return?.();
    throw failureOf(first.value, service, codes);
  }
  let isFirst = true;
  const rest: BegunEvents = {
    next() {
      if (!isFirst) return iterator.next();
      isFirst = false;
      return Promise.resolve(first);
    },
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => rest,
  };
  return rest;
}

/**
 * All of them, once each has begun. When one fails the others are given up: `leave` is called, and what begins later is
 * left at once.
 *
 * @throws {ApiError} the first failure.
 */
export async function allBegun(
  starts: readonly Promise<BegunEvents>[],
  leave: () => void,
): Promise<BegunEvents[]> {
  try {
    return await Promise.all(starts);
  } catch (problem) {
    leave();
    for (const start of starts) start.then((events) => events.return()).catch(() => {});
    throw problem;
  }
}

/** Events of an answer that break off with something that is no event: the client is told, then the log. */
export async function* tellProblems(
  events: AsyncIterable<ServerSentEvent>,
  told: (error: ApiError) => ServerSentEvent,
): AsyncGenerator<ServerSentEvent> {
  try {
    yield* events;
  } catch (problem) {
    yield told(new ApiError(500, "internal_error", "The server failed to go on; its log says why."));
    throw problem;
  }
}

/** A whole choice. */
export interface WholeChoice {
  text: string;
  tokens: GeneratedToken[];
  finishReason: FinishReason;
}

/** A whole answer. */
export interface WholeAnswer {
  readonly choices: readonly WholeChoice[];
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly firstTokenMs: number;
}

/**
 * Waits for a whole answer; undefined when the client has left.
 *
 * @throws {ApiError} when the request fails.
 */
export async function collect(
  events: AsyncIterable<GenerationEvent>,
  count: number,
  service: GenerationService,
  codes?: Codes,
): Promise<WholeAnswer | undefined> {
  const choices: WholeChoice[] = Array.from(
    { length: count },
    () => ({ text: "", tokens: [], finishReason: "length" }),
  );
  for await (const event of events) {
    switch (event.kind) {
      case "text":
        choices[event.choice].text += event.text;
        for (const token of event.tokens) choices[event.choice].tokens.push(token);
        break;
      case "finish":
        choices[event.choice].finishReason = event.reason;
        break;
      case "end":
        return { choices, ...event };
      case "failure":
        throw failureOf(event, service, codes);
    }
  }
  return undefined;
}

/** One token and the text that goes with it. */
export interface TokenPart {
  readonly token?: GeneratedToken;
  readonly text: string;
}

/** Cuts what was drawn since the last event into single tokens, in turn; text that has no token stands alone. */
export class TokenCutter {
  readonly #sent = new Map<number, number>();

  /** The parts of an event of a choice; their texts join to the event's. */
  cut({ choice, text, tokens }: Extract<GenerationEvent, { kind: "text" }>): TokenPart[] {
    const start = this.#sent.get(choice) ?? 0;
    const end = start + text.length;
    this.#sent.set(choice, end);
    if (tokens.length === 0) return text === "" ? [] : [{ text }];
    const inside = (offset: number) => Math.min(end, Math.max(start, offset));
    return tokens.map((token, i) => {
      const from = i === 0 ? start : inside(token.textOffset);
      const to = i + 1 === tokens.length ? end : inside(tokens[i + 1].textOffset);
      return { token, text: text.slice(from - start, to - start) };
    });
  }
}
