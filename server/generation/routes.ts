/**
 * `POST /generate`: text from a model, as one JSON answer or token by token.
 *
 * The stream's events: `token` {index, text, token, …} for each token, where the texts of a choice join to its text exactly;
 * `finish` {index, finishReason} for each choice; `end` {model, seed, usage, firstTokenMs}; or `error` in the one form of
 * errors, after which nothing comes.
 *
 * @module
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { ZodError } from "zod";
import type { GeneratedToken, GenerationEvent, GenerationRequest } from "../../model/generation.ts";
import { invalidInput } from "../http/error_handler.ts";
import { raw } from "../http/raw_response.ts";
import type { GenerationService } from "../services.ts";
import { begun, collect, failureOf, tellProblems, TokenCutter } from "./answer.ts";
import { GENERATE_EXAMPLES, GENERATED_EXAMPLE, GENERATED_STREAM_EXAMPLE } from "./examples.ts";
import { gone, randomSeed } from "./request.ts";
import { type GenerateBody, generatedSchema, generateSchema, REFUSALS } from "./schemas.ts";
import { type ServerSentEvent, sseResponse } from "./sse.ts";

const generate = createRoute({
  method: "post",
  path: "/generate",
  tags: ["generation"],
  summary: "Continue a prompt",
  description: "With `stream` the answer is a stream of server-sent events: `token` for each token of each " +
    "continuation, whose texts join to its text exactly; `finish` for each continuation; `end` with the usage. A failure " +
    "before the first token is a status; one after it is the event `error`, which is the last.",
  request: {
    body: {
      content: { "application/json": { schema: generateSchema, examples: GENERATE_EXAMPLES } },
      required: true,
    },
  },
  responses: {
    200: {
      content: {
        "application/json": { schema: generatedSchema, example: GENERATED_EXAMPLE },
        "text/event-stream": { schema: { type: "string" }, example: GENERATED_STREAM_EXAMPLE },
      },
      description: "The text.",
    },
    ...REFUSALS,
  },
});

/** The routes. */
export function generationRoutes(service: GenerationService): OpenAPIHono {
  const routes = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error as ZodError);
    },
  });
  routes.openapi(generate, async (context) => {
    const body = context.req.valid("json");
    const model = body.model ?? (await service.models())[0]?.id;
    const request = requestOf(body);
    const signal = gone(context.req.raw.signal);
    const events = await begun(service.generate(model, request, signal.signal), service);
    const facts = { model: model ?? "", seed: request.sampling.seed };
    if (body.stream) {
      const told = tellProblems(streamed(events, body, facts, service), (error) => say("error", error));
      return raw(sseResponse(told, () => {
        signal.abort();
        events.return().catch(() => {});
      }));
    }
    const answer = await collect(events, body.n, service);
    // Nobody hears this: the client has left.
    if (!answer) return raw(new Response(null, { status: 499 }));
    const { choices, promptTokens, completionTokens, firstTokenMs } = answer;
    return context.json({
      ...facts,
      choices: choices.map(({ text, tokens, finishReason }, index) => ({
        index,
        text,
        finishReason,
        ...body.logprobs === undefined ? {} : { tokens: tokens.map(tokenOf) },
      })),
      usage: usageOf(promptTokens, completionTokens),
      firstTokenMs,
    }, 200);
  });
  return routes;
}

function requestOf(body: GenerateBody): GenerationRequest {
  const { temperature, topK, topP, minP, repetitionPenalty, seed = randomSeed() } = body;
  return {
    prompt: body.prompt ?? body.tokens!,
    maxTokens: body.maxTokens,
    sampling: { temperature, topK, topP, minP, repetitionPenalty, seed },
    stop: typeof body.stop === "string" ? [body.stop] : body.stop,
    choices: body.n,
    echo: body.echo,
    ...body.logprobs === undefined ? {} : { logprobs: body.logprobs },
    ...body.deadlineMs === undefined ? {} : { deadlineMs: body.deadlineMs },
  };
}

function say(event: string, data: unknown): ServerSentEvent {
  return { event, data: JSON.stringify(data) };
}

async function* streamed(
  events: AsyncIterable<GenerationEvent>,
  { logprobs }: GenerateBody,
  facts: { readonly model: string; readonly seed: number },
  service: GenerationService,
): AsyncGenerator<ServerSentEvent> {
  const cutter = new TokenCutter();
  for await (const event of events) {
    switch (event.kind) {
      case "text":
        for (const { token, text } of cutter.cut(event)) {
          const { text: _, ...details } = token ? tokenOf(token) : { text: "" };
          const shown = logprobs === undefined ? { token: token?.token } : details;
          yield say("token", { index: event.choice, text, ...shown });
        }
        break;
      case "finish":
        yield say("finish", { index: event.choice, finishReason: event.reason });
        break;
      case "end": {
        const { promptTokens, completionTokens, firstTokenMs } = event;
        yield say("end", { ...facts, usage: usageOf(promptTokens, completionTokens), firstTokenMs });
        return;
      }
      case "failure":
        yield say("error", failureOf(event, service));
        return;
    }
  }
}

function tokenOf({ token, text, logprob, textOffset, top }: GeneratedToken) {
  return { token, text, logprob, textOffset, top: top?.map((other) => ({ ...other })) };
}

function usageOf(promptTokens: number, completionTokens: number) {
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}
