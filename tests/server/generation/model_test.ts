/** Both APIs over a model on a device, in its Worker: what routes and model only do together. */
import { assert, assertEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import OpenAI from "openai";
import { createApp } from "../../../server/mod.ts";
import { GenerationClient } from "../../../server/generation/client.ts";
import { Prng } from "../../support/prng.ts";
import { fakeServices } from "../fakes.ts";
import { mutate } from "../mutate.ts";
import { errorOf, post } from "../support.ts";
import { saveLively } from "./lively_run.ts";

interface Served {
  readonly url: string;
  readonly openai: OpenAI;
  readonly generation: GenerationClient;
}

const SLOTS = 4;

/** Serves the lively model while `body` runs. */
async function withModel(body: (served: Served) => Promise<void>): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-" });
  await saveLively(runs, "first", 1, 3);
  const generation = GenerationClient.open({
    runs,
    maxSlots: SLOTS,
    maxWaiting: 20,
    maxPromptTokens: 500,
    maxModels: 1,
    cacheBytes: 2 ** 28,
  });
  const app = createApp({ ...fakeServices(), generation });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => app.fetch(request),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  try {
    await body({
      url,
      generation,
      openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
    });
  } finally {
    await server.shutdown();
    await generation.close();
    await Deno.remove(runs, { recursive: true });
  }
}

/** Waits until no place is taken, also by those that the Worker has not told of yet. */
async function allFree(generation: GenerationClient): Promise<void> {
  const free = async () => {
    for (let quiet = 0; quiet < 5;) {
      await delay(50);
      const { running, waiting } = generation.load();
      quiet = running + waiting === 0 ? quiet + 1 : 0;
    }
  };
  await deadline(free(), 20_000);
}

const PLAIN = { model: "first", prompt: "Call me", max_tokens: 40, seed: 5, n: 2, logprobs: 3, echo: true };

Deno.test("a stream of a model joins to the answer that comes in one piece, and offsets point at its tokens", async () => {
  await withModel(async ({ openai }) => {
    const whole = await openai.completions.create(PLAIN);
    assertEquals(whole.usage, { prompt_tokens: 7, completion_tokens: 80, total_tokens: 87 });
    assert(whole.choices[0].text !== whole.choices[1].text);
    for (const { text, logprobs } of whole.choices) {
      const { tokens = [], text_offset = [], token_logprobs = [], top_logprobs = [] } = logprobs!;
      assertEquals(tokens.length, 47);
      tokens.forEach((token, i) => {
        // Bytes that turn out to be no character come with the token that shows it.
        const own = text.slice(text_offset[i], text_offset[i + 1]);
        if (token !== "\ufffd") assert(own.endsWith(token), `token ${i} is not at its offset`);
        if (i === 0) assertEquals(token_logprobs[i], null, "nothing comes before the first token");
        else assertEquals(token in top_logprobs[i]!, true, `token ${i} is not among its alternatives`);
      });
    }
    const streamed = whole.choices.map(() => ({ text: "", tokens: [] as string[], offsets: [] as number[] }));
    for await (const { choices } of await openai.completions.create({ ...PLAIN, stream: true })) {
      for (const { index, text, logprobs } of choices) {
        streamed[index].text += text;
        streamed[index].tokens.push(...logprobs?.tokens ?? []);
        streamed[index].offsets.push(...logprobs?.text_offset ?? []);
      }
    }
    assertEquals(
      streamed,
      whole.choices.map(({ text, logprobs }) => ({
        text,
        tokens: logprobs!.tokens!,
        offsets: logprobs!.text_offset!,
      })),
    );
  });
});

Deno.test("clients that leave a model's streams free their places, and those who stay get their text", async () => {
  await withModel(async ({ url, openai, generation }) => {
    const alone = await openai.completions.create({ ...PLAIN, n: 1 });
    const leave = new AbortController();
    const long = { prompt: "The whale", maxTokens: 16_000, stream: true };
    const leaving = await Promise.all(
      Array.from(
        { length: SLOTS - 1 },
        () => fetch(`${url}/generate`, { ...post(long), signal: leave.signal }),
      ),
    );
    await Promise.all(leaving.map((response) => response.body!.getReader().read()));
    const staying = openai.completions.create({ ...PLAIN, n: 1 });
    leave.abort();
    assertEquals((await staying).choices, alone.choices);
    await allFree(generation);
  });
});

Deno.test("mutated requests to a model: no 500, and no place stays taken", async () => {
  const seed = 20260502;
  const prng = new Prng(seed);
  const { model, prompt, ...sampling } = { ...PLAIN, max_tokens: 5, temperature: 0.8, top_k: 5, stop: "e" };
  const valid = [
    {
      path: "/generate",
      body: { prompt, tokens: undefined, maxTokens: 5, topP: 0.5, n: 2, echo: true, logprobs: 1 },
    },
    {
      path: "/generate",
      body: { tokens: [1, 2, 3], maxTokens: 5, minP: 0.1, stop: ["a"], stream: true, model },
    },
    { path: "/v1/completions", body: { model, prompt: [prompt, "The whale"], ...sampling, stream: true } },
    { path: "/v1/completions", body: { model, prompt: [[1, 2], [3]], ...sampling } },
  ].map(({ path, body }) => ({
    method: "POST",
    path,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }));
  await withModel(async ({ url, generation }) => {
    for (let index = 0; index < 200; index++) {
      const { method, path, headers, body } = mutate(prng.pick(valid), prng);
      const name = `seed ${seed}, request ${index}: ${
        JSON.stringify({ method, path, headers, body }).slice(0, 400)
      }`;
      const hasBody = method !== "GET" && method !== "HEAD";
      const response = await fetch(`${url}${path}`, { method, headers, body: hasBody ? body : undefined });
      assert(response.status < 500, `${response.status} ${name}`);
      if (response.status >= 400 && method !== "HEAD") await errorOf(response, response.status);
      else await response.text();
    }
    await allFree(generation);
  });
});
