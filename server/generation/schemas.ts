/**
 * `POST /generate`: what a request may say, with its defaults and bounds, and what the answer looks like.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { MAX_LOGPROBS } from "../../model/generation.ts";
import { refusalSchema } from "../http/refusal_schema.ts";
import { REFUSAL_EXAMPLE } from "./examples.ts";

/** Characters of a prompt: longer ones are refused before they are tokenized. */
export const MAX_PROMPT_CHARACTERS = 100_000;
/** Tokens that one choice may draw. */
export const MAX_TOKENS = 16_384;
/** Tokens that all choices of a request may draw together: what waits for a slow reader stays under 50 MB. */
export const MAX_REQUEST_TOKENS = 65_536;
/** Continuations of one prompt. */
export const MAX_CHOICES = 16;
/** Stop texts of a request, and characters of each. */
const MAX_STOPS = 16;
const MAX_STOP_CHARACTERS = 256;
/** Longest time that a request may give itself: an hour. */
const MAX_DEADLINE_MS = 3_600_000;

const U32 = 2 ** 32 - 1;

/** A stop text. */
const stopText = z.string().min(1, "give at least one character").max(
  MAX_STOP_CHARACTERS,
  `at most ${MAX_STOP_CHARACTERS} characters`,
).refine((text) => text.isWellFormed(), "give whole characters");

/** A text to continue. */
export const promptText = z.string().max(
  MAX_PROMPT_CHARACTERS,
  `at most ${MAX_PROMPT_CHARACTERS} characters: shorten the prompt`,
);

/** Tokens to continue. */
export const promptTokens = z.array(z.int().min(0)).min(1, "give at least one token").max(
  MAX_PROMPT_CHARACTERS,
);

/** One stop text or several. */
export const stopTexts = z.union([stopText, z.array(stopText).max(MAX_STOPS)], {
  error: `give a text or up to ${MAX_STOPS} texts, each of 1 to ${MAX_STOP_CHARACTERS} characters`,
});

/** The parameters of sampling; both APIs use these bounds. */
export const BOUNDS = {
  temperature: z.number().min(0).max(100),
  topK: z.int().min(0).max(2 ** 24),
  topP: z.number().gt(0, "must be above 0").max(1),
  minP: z.number().min(0).max(1),
  repetitionPenalty: z.number().min(0.01).max(100),
  seed: z.int().min(0).max(U32),
  maxTokens: z.int().min(0).max(MAX_TOKENS),
  choices: z.int().min(1).max(MAX_CHOICES),
  logprobs: z.int().min(0).max(MAX_LOGPROBS),
} as const;

/** Body of `POST /generate`. */
export const generateSchema = z.strictObject({
  model: z.string().max(200).optional().openapi({
    description: "Name of a model; the newest one if left out.",
  }),
  prompt: promptText.optional().openapi({ description: "Text to continue.", example: "Call me" }),
  tokens: promptTokens.optional().openapi({ description: "Tokens to continue, in place of a prompt." }),
  maxTokens: BOUNDS.maxTokens.default(128).openapi({
    description: "Tokens to draw for each continuation, at most; 0 draws none.",
  }),
  temperature: BOUNDS.temperature.default(1).openapi({ description: "0 takes the likeliest token." }),
  topK: BOUNDS.topK.default(0).openapi({ description: "Draw from so many of the likeliest tokens; 0: all." }),
  topP: BOUNDS.topP.default(1).openapi({
    description: "Draw from the likeliest with this much probability.",
  }),
  minP: BOUNDS.minP.default(0).openapi({
    description: "Leave out what is less likely than this part of the likeliest.",
  }),
  repetitionPenalty: BOUNDS.repetitionPenalty.default(1).openapi({
    description: "Above 1: tokens that the text has already become less likely.",
  }),
  seed: BOUNDS.seed.optional().openapi({ description: "The same seed and request give the same text." }),
  stop: stopTexts.default([]).openapi({
    description: "A text, or several, that end a continuation; they are not part of it.",
  }),
  n: BOUNDS.choices.default(1).openapi({
    description: "Continuations; the i-th draws with the seed plus i.",
  }),
  logprobs: BOUNDS.logprobs.optional().openapi({
    description: "Log-probabilities, with so many alternatives.",
  }),
  echo: z.boolean().default(false).openapi({ description: "Begin the text with the prompt." }),
  stream: z.boolean().default(false).openapi({
    description: "Answer token by token, as server-sent events.",
  }),
  deadlineMs: z.int().min(1).max(MAX_DEADLINE_MS).optional().openapi({
    description: "Milliseconds after which what is there has to do; the reason is `deadline` then.",
  }),
}).refine(({ prompt, tokens }) => (prompt === undefined) !== (tokens === undefined), {
  message: "give either a prompt or tokens",
  path: ["prompt"],
}).refine(({ n, maxTokens }) => n * maxTokens <= MAX_REQUEST_TOKENS, {
  message: `n times maxTokens is at most ${MAX_REQUEST_TOKENS}: ask for less at once`,
  path: ["maxTokens"],
}).openapi("GenerateRequest");

/** What was asked for. */
export type GenerateBody = z.infer<typeof generateSchema>;

const alternativeSchema = z.object({ token: z.int(), text: z.string(), logprob: z.number().optional() });

const tokenSchema = alternativeSchema.extend({
  textOffset: z.int(),
  top: z.array(alternativeSchema).optional(),
}).openapi("GeneratedToken");

/** Token counts. */
const usageSchema = z.object({ promptTokens: z.int(), completionTokens: z.int(), totalTokens: z.int() });

/** Answer of `POST /generate` without `stream`. */
export const generatedSchema = z.object({
  model: z.string(),
  seed: z.int(),
  choices: z.array(z.object({
    index: z.int(),
    text: z.string(),
    finishReason: z.enum(["stop", "length", "deadline"]),
    tokens: z.array(tokenSchema).optional().openapi({
      description: "With log-probabilities, when they are asked for.",
    }),
  })),
  usage: usageSchema,
  firstTokenMs: z.number(),
}).openapi("Generated");

const retryAfter = z.object({
  "Retry-After": z.string().openapi({ description: "Seconds after which to try again.", example: "2" }),
});

const refusal = (description: string, example?: typeof REFUSAL_EXAMPLE) => ({
  content: { "application/json": { schema: refusalSchema, ...example ? { example } : {} } },
  description,
});

/** How requests for text are refused. */
export const REFUSALS = {
  400: refusal("Something in the request is wrong; `param` names it.", REFUSAL_EXAMPLE),
  404: refusal("There is no such model."),
  429: { ...refusal("All places are taken."), headers: retryAfter },
  503: { ...refusal("The GPU was lost, or the server is going down."), headers: retryAfter },
} as const;
