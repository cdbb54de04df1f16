/**
 * OpenAI's completions API as data: requests with OpenAI's names and defaults, and what they ask of a model.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { GenerationRequest } from "../../model/generation.ts";
import { ApiError } from "../http/error.ts";
import { randomSeed } from "./request.ts";
import {
  BOUNDS,
  MAX_PROMPT_CHARACTERS,
  MAX_REQUEST_TOKENS,
  promptText,
  promptTokens,
  stopTexts,
} from "./schemas.ts";

/** Prompts of one request. */
const MAX_PROMPTS = 32;
/** Tokens that are drawn unless a request says otherwise: OpenAI's figure. */
const DEFAULT_MAX_TOKENS = 16;

const PROMPT_FORMS =
  `give a text of at most ${MAX_PROMPT_CHARACTERS} characters, a list of tokens, or a list of up to ` +
  `${MAX_PROMPTS} texts or lists of tokens`;

const optional = <T extends z.ZodType>(schema: T) => schema.nullish();

/** Body of `POST /v1/completions`; `null` counts as left out, as in OpenAI's API. */
export const completionSchema = z.strictObject({
  model: z.string().min(1, "name a model; GET /v1/models lists them").max(200),
  prompt: z.union([
    promptText,
    promptTokens,
    z.array(promptText).min(1, "give at least one prompt").max(MAX_PROMPTS),
    z.array(promptTokens).min(1, "give at least one prompt").max(MAX_PROMPTS),
  ], { error: PROMPT_FORMS }).openapi({ description: "A text, tokens, or a list of either." }),
  max_tokens: optional(BOUNDS.maxTokens).openapi({ description: `Left out: ${DEFAULT_MAX_TOKENS}.` }),
  temperature: optional(BOUNDS.temperature),
  top_p: optional(BOUNDS.topP),
  n: optional(BOUNDS.choices),
  best_of: optional(BOUNDS.choices).openapi({ description: "Only what `n` is." }),
  stream: optional(z.boolean()),
  stream_options: optional(z.strictObject({
    include_usage: optional(z.boolean()),
    include_obfuscation: optional(z.boolean()),
  })),
  logprobs: optional(BOUNDS.logprobs),
  echo: optional(z.boolean()),
  stop: optional(stopTexts),
  seed: optional(z.int()),
  user: optional(z.string().max(1000)),
  suffix: optional(z.string().max(1000)).openapi({ description: "Not offered: only an empty one." }),
  presence_penalty: optional(z.number().min(-2).max(2)).openapi({ description: "Not offered: only 0." }),
  frequency_penalty: optional(z.number().min(-2).max(2)).openapi({ description: "Not offered: only 0." }),
  logit_bias: z.unknown().optional().openapi({
    type: "object",
    description: "Not offered: only an empty one.",
  }),
  top_k: optional(BOUNDS.topK).openapi({ description: "Not OpenAI's: see `topK` of /generate." }),
  min_p: optional(BOUNDS.minP).openapi({ description: "Not OpenAI's: see `minP` of /generate." }),
  repetition_penalty: optional(BOUNDS.repetitionPenalty).openapi({ description: "Not OpenAI's." }),
}).openapi("CompletionRequest");

/** What was asked for. */
export type CompletionBody = z.infer<typeof completionSchema>;

/** Parameters that change what is drawn in ways that this server does not offer, with the values that change nothing. */
const UNSUPPORTED = {
  suffix: (value: unknown) => value === "",
  presence_penalty: (value: unknown) => value === 0,
  frequency_penalty: (value: unknown) => value === 0,
  logit_bias: (value: unknown) => typeof value === "object" && Object.keys(value as object).length === 0,
} as const;

/**
 * Refuses what cannot be honoured: better no answer than another one than was asked for.
 *
 * @throws {ApiError} 400 that names the parameter.
 */
export function refuseUnsupported(body: CompletionBody): void {
  for (const [param, changesNothing] of Object.entries(UNSUPPORTED)) {
    const value = body[param as keyof typeof UNSUPPORTED];
    if (value === undefined || value === null || changesNothing(value)) continue;
    throw new ApiError(400, "unsupported_parameter", `${param} is not offered here: leave it out`, { param });
  }
  const { n, best_of: best } = body;
  if (typeof best !== "number" || best === (n ?? 1)) return;
  throw new ApiError(400, "unsupported_parameter", "best_of can only be equal to n: leave it out", {
    param: "best_of",
  });
}

/** The prompts of a request, one after the other. */
function promptsOf(prompt: CompletionBody["prompt"]): (string | readonly number[])[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : prompt as (string | number[])[];
}

/**
 * What each prompt asks of the model.
 *
 * @throws {ApiError} 400 when they ask for more together than one request may.
 */
export function requestsOf(body: CompletionBody): GenerationRequest[] {
  const stop = body.stop ?? [];
  const seed = body.seed ?? randomSeed();
  const maxTokens = body.max_tokens ?? DEFAULT_MAX_TOKENS;
  const choices = body.n ?? 1;
  const prompts = promptsOf(body.prompt);
  if (prompts.length * choices * maxTokens > MAX_REQUEST_TOKENS) {
    const message = `prompts times n times max_tokens is at most ${MAX_REQUEST_TOKENS}: ask for less at once`;
    throw new ApiError(400, "invalid_value", message, { param: "max_tokens" });
  }
  return prompts.map((prompt) => ({
    prompt,
    maxTokens,
    sampling: {
      temperature: body.temperature ?? 1,
      topK: body.top_k ?? 0,
      topP: body.top_p ?? 1,
      minP: body.min_p ?? 0,
      repetitionPenalty: body.repetition_penalty ?? 1,
      seed: seed >>> 0,
    },
    stop: typeof stop === "string" ? [stop] : stop,
    choices,
    echo: body.echo ?? false,
    ...typeof body.logprobs === "number" ? { logprobs: body.logprobs } : {},
  }));
}

const logprobsSchema = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(z.int()),
}).nullable();

/** An answer. */
export const completionAnswerSchema = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({
    index: z.int(),
    text: z.string(),
    logprobs: logprobsSchema,
    finish_reason: z.enum(["stop", "length"]),
  })),
  usage: z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() }),
}).openapi("Completion");

/** A model in a list. */
export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  step: z.int().openapi({ description: "Training steps of its newest checkpoint." }),
  tokenizer: z.string(),
  context: z.int().openapi({ description: "Tokens that it looks at." }),
  loaded: z.boolean().openapi({ description: "Whether its weights are on the device." }),
}).openapi("Model");

/** All models. */
export const modelListSchema = z.object({ object: z.literal("list"), data: z.array(modelSchema) });
