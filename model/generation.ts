/**
 * What a request for text asks for and what comes back, as plain data that crosses from thread to thread. The batcher
 * answers it, the command line and the server ask it; none of them knows more of the others.
 *
 * @module
 */

/** How tokens are drawn. The steps are applied in this order: penalty, temperature, top-k, top-p, min-p. */
export interface Sampling {
  /** 0 takes the likeliest token; higher is bolder. */
  readonly temperature: number;
  /** Only this many of the likeliest tokens can be drawn; 0 for all. */
  readonly topK: number;
  /** Only the likeliest tokens that have this much of the probability together (nucleus); 1 for all. */
  readonly topP: number;
  /** Only tokens that are at least this part of the likeliest one's probability; 0 for all. */
  readonly minP: number;
  /** Divides the scores of tokens that the text has already (multiplies negative ones); 1 changes nothing. */
  readonly repetitionPenalty: number;
  /** The same seed and request give the same text, alone or beside others. A u32. */
  readonly seed: number;
}

/** What a request that says nothing gets: the model's own distribution. */
export const DEFAULT_SAMPLING: Sampling = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 1337,
};

/** Alternatives that a request may ask for at each token. */
export const MAX_LOGPROBS = 5;

/** A request for text. */
export interface GenerationRequest {
  /** Text, or tokens. */
  readonly prompt: string | readonly number[];
  /** Tokens to draw for each choice, at most. */
  readonly maxTokens: number;
  /** How they are drawn; choice `i` of several draws as choice 0 of the seed `seed + i` would. */
  readonly sampling: Sampling;
  /** Texts that end a choice; they are not part of it. */
  readonly stop: readonly string[];
  /** Continuations of the same prompt. */
  readonly choices: number;
  /** Log-probabilities are wanted, with this many of the likeliest alternatives (0 to {@link MAX_LOGPROBS}). */
  readonly logprobs?: number;
  /** The prompt's own text and tokens come first. */
  readonly echo?: boolean;
  /** Milliseconds after which what is there has to do. */
  readonly deadlineMs?: number;
}

/** A token and how likely it was, as natural logarithm. */
export interface TokenLogprob {
  /** The token, a number below the size of the vocabulary. */
  readonly token: number;
  /** The token's bytes as text; bytes that are no whole character show as U+FFFD. */
  readonly text: string;
  /** Under the model itself (temperature 1, nothing cut off); absent for a prompt's first token. */
  readonly logprob?: number;
}

/** A token of a choice. */
export interface GeneratedToken extends TokenLogprob {
  /** Characters (UTF-16 units) of the choice's text before this token. */
  readonly textOffset: number;
  /** The likeliest tokens at its place, likeliest first; as many as were asked for. */
  readonly top?: readonly TokenLogprob[];
}

/** Why a choice ended: a stop text or the end-of-text token; enough tokens; the deadline. */
export type FinishReason = "stop" | "length" | "deadline";

/** What comes back, in order; `end` or `failure` is the last. */
export type GenerationEvent =
  | {
    /** More of a choice. */
    readonly kind: "text";
    readonly choice: number;
    /** Whole characters only, and nothing that may yet turn out to be part of a stop text. May be empty. */
    readonly text: string;
    /** The tokens that were drawn since the last event of this choice. */
    readonly tokens: readonly GeneratedToken[];
  }
  | { readonly kind: "finish"; readonly choice: number; readonly reason: FinishReason }
  | {
    readonly kind: "end";
    readonly promptTokens: number;
    /** Of all choices together. */
    readonly completionTokens: number;
    /** Milliseconds from the request's arrival to its first token. */
    readonly firstTokenMs: number;
  }
  | { readonly kind: "failure"; readonly code: GenerationFailure; readonly message: string };

/**
 * What can go wrong with a request: it is wrong in itself, longer than the model's context allows, or asks for a model
 * that is not there; all places are taken; the device is gone; the server is going down.
 */
export type GenerationFailure =
  | "bad_request"
  | "prompt_too_long"
  | "unknown_model"
  | "queue_full"
  | "device_lost"
  | "shutting_down";
