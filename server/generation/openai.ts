/**
 * OpenAI's API: `POST /v1/completions`, `GET /v1/models`, `GET /v1/models/{model}`. OpenAI's own clients work with it.
 *
 * @module
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { ZodError } from "zod";
import { ApiError } from "../http/error.ts";
import { invalidInput } from "../http/error_handler.ts";
import { raw } from "../http/raw_response.ts";
import type { GenerationService, ServedModel } from "../services.ts";
import { allBegun, begun, collect, tellProblems, type WholeAnswer } from "./answer.ts";
import { chunksOf, completionOf, headOf, merged, OPENAI_CODES } from "./completions.ts";
import {
  completionAnswerSchema,
  completionSchema,
  modelListSchema,
  modelSchema,
  refuseUnsupported,
  requestsOf,
} from "./openai_schemas.ts";
import { COMPLETION_EXAMPLE, COMPLETION_EXAMPLES, COMPLETION_STREAM_EXAMPLE } from "./examples.ts";
import { gone } from "./request.ts";
import { REFUSALS } from "./schemas.ts";
import { sseResponse } from "./sse.ts";

const tags = ["OpenAI"];
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  content: { "application/json": { schema } },
  description,
});

const complete = createRoute({
  method: "post",
  path: "/v1/completions",
  tags,
  summary: "Continue prompts, as OpenAI's API does",
  description:
    "OpenAI's legacy completions. What this server cannot honour is refused by name, not passed over. " +
    "`top_k`, `min_p` and `repetition_penalty` are taken besides. Offsets of tokens count UTF-16 units from the beginning " +
    "of the choice's text. A stream that fails ends with a chunk that has `error`, without `[DONE]`.",
  request: {
    body: {
      content: { "application/json": { schema: completionSchema, examples: COMPLETION_EXAMPLES } },
      required: true,
    },
  },
  responses: {
    200: {
      content: {
        "application/json": { schema: completionAnswerSchema, example: COMPLETION_EXAMPLE },
        "text/event-stream": { schema: { type: "string" }, example: COMPLETION_STREAM_EXAMPLE },
      },
      description: "The completion; with `stream` its chunks, and `[DONE]`.",
    },
    ...REFUSALS,
  },
});

const listModels = createRoute({
  method: "get",
  path: "/v1/models",
  tags,
  summary: "The models that can be asked",
  responses: { 200: json(modelListSchema, "The newest checkpoint of every run, newest first.") },
});

const getModel = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  tags,
  summary: "One model",
  request: { params: z.object({ model: z.string().max(200).openapi({ example: "first" }) }) },
  responses: {
    200: json(modelSchema, "The model."),
    404: REFUSALS[404],
  },
});

/** The routes. */
export function openaiRoutes(service: GenerationService): OpenAPIHono {
  const routes = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error as ZodError);
    },
  });

  routes.openapi(complete, async (context) => {
    const body = context.req.valid("json");
    refuseUnsupported(body);
    const requests = requestsOf(body);
    const signal = gone(context.req.raw.signal);
    const head = headOf(body.model);
    const wantsLogprobs = typeof body.logprobs === "number";
    const [{ choices }] = requests;
    try {
      const sources = await allBegun(
        requests.map((request) =>
          begun(service.generate(body.model, request, signal.signal), service, OPENAI_CODES)
        ),
        () => signal.abort(),
      );
      if (body.stream) {
        const wantsUsage = body.stream_options?.include_usage === true;
        const chunks = chunksOf(head, merged(sources), service, { choices, wantsLogprobs, wantsUsage });
        const told = tellProblems(chunks, (error) => ({ data: JSON.stringify(error) }));
        return raw(sseResponse(told, () => {
          signal.abort();
          for (const source of sources) source.return().catch(() => {});
        }));
      }
      const answers = await Promise.all(
        sources.map((events) => collect(events, choices, service, OPENAI_CODES)),
      );
      // Nobody hears this: the client has left.
      if (answers.some((answer) => !answer)) return raw(new Response(null, { status: 499 }));
      return context.json(completionOf(head, answers as WholeAnswer[], wantsLogprobs), 200);
    } catch (problem) {
      signal.abort(); // the other prompts' places are free at once
      throw problem;
    }
  });

  routes.openapi(listModels, async (context) => {
    const models = await service.models();
    return context.json({ object: "list" as const, data: models.map(modelOf) }, 200);
  });

  routes.openapi(getModel, async (context) => {
    const { model } = context.req.valid("param");
    const found = (await service.models()).find(({ id }) => id === model);
    if (found) return context.json(modelOf(found), 200);
    const message = `There is no model ${JSON.stringify(model)}; GET /v1/models lists what there is.`;
    throw new ApiError(404, "model_not_found", message, { param: "model" });
  });
  return routes;
}

function modelOf({ id, created, step, tokenizer, config, isLoaded }: ServedModel) {
  return {
    id,
    object: "model" as const,
    created,
    owned_by: "sinter",
    step,
    tokenizer,
    context: config.context,
    loaded: isLoaded,
  };
}
