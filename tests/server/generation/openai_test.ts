/** OpenAI's own client against this server. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import { Access } from "../../../server/mod.ts";
import type { GenerationEvent } from "../../../model/mod.ts";
import { FAKE_TEXT, FakeGeneration } from "../fake_generation.ts";
import { serveFakes, untilIdle } from "./serve.ts";

/** A model whose device is lost after a token. */
class Failing extends FakeGeneration {
  override async *generate(): AsyncGenerator<GenerationEvent> {
    yield { kind: "text", choice: 0, text: "a", tokens: [{ token: 97, text: "a", textOffset: 0 }] };
    yield { kind: "failure", code: "device_lost", message: "the GPU was lost: try again" };
  }
}

const PLAIN = { model: "first", prompt: "Call me", max_tokens: 6, temperature: 0 };

Deno.test("a completion has text, reason and usage where the client looks for them", async () => {
  await using server = serveFakes();
  const answer = await server.openai.completions.create(PLAIN);
  assertEquals(answer.object, "text_completion");
  assertEquals(answer.model, "first");
  assertEquals(
    answer.choices.map(({ text, finish_reason, index, logprobs }) => [text, finish_reason, index, logprobs]),
    [
      [FAKE_TEXT.slice(0, 6), "length", 0, null],
    ],
  );
  assertEquals(answer.usage, { prompt_tokens: 7, completion_tokens: 6, total_tokens: 13 });
});

Deno.test("a stream's chunks join to the text, and the usage comes last when it is asked for", async () => {
  await using server = serveFakes();
  const stream = await server.openai.completions.create({
    ...PLAIN,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  const reasons: unknown[] = [];
  const usages: unknown[] = [];
  for await (const { choices, usage } of stream) {
    for (const choice of choices) {
      text += choice.text;
      if (choice.finish_reason) reasons.push(choice.finish_reason);
    }
    usages.push(usage);
  }
  assertEquals(text, FAKE_TEXT.slice(0, 6));
  assertEquals(reasons, ["length"]);
  assertEquals(usages.pop(), { prompt_tokens: 7, completion_tokens: 6, total_tokens: 13 });
  assert(usages.length > 0 && usages.every((usage) => usage === null), "only the last chunk has the usage");
});

Deno.test("without include_usage no chunk speaks of it, and the stream ends with [DONE]", async () => {
  await using server = serveFakes();
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...PLAIN, stream: true }),
  });
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  assertEquals(lines.pop(), "data: [DONE]");
  for (const line of lines) assertEquals("usage" in JSON.parse(line.slice("data: ".length)), false);
});

Deno.test("stop, n, echo and several prompts mean what they mean at OpenAI's", async () => {
  await using server = serveFakes();
  const { openai } = server;
  const stopped = await openai.completions.create({ ...PLAIN, max_tokens: 50, stop: "Ish" });
  assertEquals(stopped.choices[0].text, FAKE_TEXT.slice(0, FAKE_TEXT.indexOf("Ish")));
  assertEquals(stopped.choices[0].finish_reason, "stop");
  const several = await openai.completions.create({ ...PLAIN, n: 2, prompt: ["One ", "Two "], echo: true });
  assertEquals(several.choices.map(({ index }) => index), [0, 1, 2, 3]);
  assertEquals(several.choices.map(({ text }) => text.slice(0, 4)), ["One ", "One ", "Two ", "Two "]);
  assertEquals(several.usage, { prompt_tokens: 8, completion_tokens: 24, total_tokens: 32 });
  const tokens = await openai.completions.create({ ...PLAIN, prompt: [72, 105] });
  assertEquals(tokens.usage?.prompt_tokens, 2);
});

Deno.test("log-probabilities come with tokens, offsets and alternatives", async () => {
  await using server = serveFakes();
  const { choices: [{ text, logprobs }] } = await server.openai.completions.create({
    ...PLAIN,
    echo: true,
    logprobs: 2,
  });
  assertEquals(logprobs!.tokens!.join(""), text);
  assertEquals(logprobs!.text_offset, Array.from(text, (_, i) => i));
  assertEquals(logprobs!.token_logprobs![0], null, "nothing comes before the first token");
  assertEquals(Object.keys(logprobs!.top_logprobs!.at(-1)!).length, 2);
  const { choices: [{ logprobs: alone }] } = await server.openai.completions.create({
    ...PLAIN,
    logprobs: 0,
  });
  assertEquals(
    alone!.top_logprobs!.map((top) => Object.keys(top!).join("")),
    alone!.tokens!,
    "the token that was drawn is always among the alternatives",
  );
});

Deno.test("the same seed gives the same text, another seed another one", async () => {
  await using server = serveFakes();
  const textOf = async (seed: number) => {
    const { choices } = await server.openai.completions.create({ ...PLAIN, temperature: 1, seed });
    return choices[0].text;
  };
  assertEquals(await textOf(3), await textOf(3));
  assert(await textOf(3) !== await textOf(4));
});

Deno.test("refusals are the client's own error classes", async () => {
  await using server = serveFakes({ slots: 1, maxWaiting: 0, tokenMs: 20 });
  const { openai, generation } = server;
  const refused = (body: Record<string, unknown>) =>
    openai.completions.create({ ...PLAIN, ...body } as OpenAI.CompletionCreateParamsNonStreaming);
  const unknown = await assertRejects(() => refused({ model: "none" }), OpenAI.NotFoundError);
  assertEquals([unknown.code, unknown.param], ["model_not_found", "model"]);
  const long = await assertRejects(() => refused({ prompt: "x".repeat(500) }), OpenAI.BadRequestError);
  assertEquals(long.code, "context_length_exceeded");
  const wrong = await assertRejects(() => refused({ max_tokens: -1 }), OpenAI.BadRequestError);
  assertEquals(wrong.param, "max_tokens");
  const much = await assertRejects(
    () => refused({ prompt: ["a", "b", "c"], n: 2, max_tokens: 16_000 }),
    OpenAI.BadRequestError,
  );
  assertEquals(much.param, "max_tokens");
  const unsupported = await assertRejects(
    () => refused({ logit_bias: { 50256: -100 } }),
    OpenAI.BadRequestError,
  );
  assertEquals([unsupported.code, unsupported.param], ["unsupported_parameter", "logit_bias"]);
  const running = openai.completions.create({ ...PLAIN, max_tokens: 20 });
  while (generation.load().running === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const full = await assertRejects(() => refused({}), OpenAI.RateLimitError);
  assertEquals(full.headers?.get("Retry-After"), "2");
  await running;
});

Deno.test("a failure in the middle of a stream is the client's own error, not an end", async () => {
  await using server = serveFakes({}, new Failing());
  const stream = await server.openai.completions.create({ ...PLAIN, stream: true });
  let text = "";
  const read = async () => {
    for await (const { choices: [choice] } of stream) text += choice.text;
  };
  const broken = await assertRejects(read, OpenAI.APIError);
  assertEquals([text, broken.code], ["a", "device_lost"]);
});

Deno.test("a wrong token is the client's own error", async () => {
  const tokens = { generation: "generation-token", admin: "admin-token" };
  await using server = serveFakes({}, new FakeGeneration(), { access: new Access(tokens) });
  const wrong = await assertRejects(
    () => server.openai.completions.create(PLAIN),
    OpenAI.AuthenticationError,
  );
  assertEquals(wrong.code, "wrong_token");
  const right = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: tokens.generation, maxRetries: 0 });
  assertEquals((await right.completions.create(PLAIN)).choices[0].text, FAKE_TEXT.slice(0, 6));
});

Deno.test("when one prompt of several is refused, the others' places are free", async () => {
  await using server = serveFakes({ slots: 2, maxWaiting: 4, tokenMs: 1 });
  const prompt = ["a", "b", "x".repeat(500), "c", "d"];
  const long = await assertRejects(
    () => server.openai.completions.create({ ...PLAIN, prompt, max_tokens: 10_000 }),
    OpenAI.BadRequestError,
  );
  assertEquals(long.code, "context_length_exceeded");
  await untilIdle(server.generation);
});

Deno.test("models are listed and found", async () => {
  await using server = serveFakes();
  const { data } = await server.openai.models.list();
  assertEquals(data.map(({ id, object }) => [id, object]), [["first", "model"]]);
  assertEquals((await server.openai.models.retrieve("first")).id, "first");
  await assertRejects(() => server.openai.models.retrieve("none"), OpenAI.NotFoundError);
});

Deno.test("a client that stops listening frees its place at once", async () => {
  await using server = serveFakes({ slots: 1, tokenMs: 5 });
  const stream = await server.openai.completions.create({ ...PLAIN, max_tokens: 10_000, stream: true });
  for await (const _ of stream) break;
  await untilIdle(server.generation);
  assertEquals((await server.openai.completions.create(PLAIN)).choices.length, 1);
});
