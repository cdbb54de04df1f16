/** Requests for text that are nearly right, from clients that are seldom patient, over a real port. */
import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../support/prng.ts";
import { type Draft, mutate } from "../mutate.ts";
import { errorOf } from "../support.ts";
import { serveFakes, untilIdle } from "./serve.ts";

const REQUESTS = 1000;
const CLIENTS = 8;

const GENERATE = {
  prompt: "The whale",
  maxTokens: 12,
  temperature: 0.8,
  topK: 10,
  topP: 0.9,
  minP: 0.05,
  repetitionPenalty: 1.1,
  seed: 7,
  stop: ["\n", "whale"],
  logprobs: 2,
  n: 2,
  model: "first",
  echo: true,
  deadlineMs: 1000,
};

const COMPLETION = {
  model: "first",
  prompt: ["The whale", "Call me", "Ishmael"],
  max_tokens: 12,
  temperature: 0.8,
  top_p: 0.9,
  n: 2,
  best_of: 2,
  logprobs: 2,
  echo: true,
  stop: "\n",
  seed: 7,
  presence_penalty: 0,
  frequency_penalty: 0,
  logit_bias: {},
  top_k: 10,
  min_p: 0.05,
  repetition_penalty: 1.1,
};

const draft = (path: string, body: unknown): Draft => ({
  method: "POST",
  path,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

const VALID: readonly Draft[] = [
  draft("/generate", GENERATE),
  draft("/generate", { ...GENERATE, stream: true }),
  draft("/v1/completions", COMPLETION),
  draft("/v1/completions", { ...COMPLETION, stream: true, stream_options: { include_usage: true } }),
];

Deno.test("a thousand mutated requests for text: no 500, every refusal in the one form, no place stays taken", async () => {
  const seed = 20260417;
  const prng = new Prng(seed);
  await using server = serveFakes({ slots: 4, maxWaiting: 6, tokenMs: 1 });
  const statuses = new Map<number | "left", number>();
  let sent = 0;

  async function one(name: string, { method, path, headers, body }: Draft, leaveMs: number | undefined) {
    const leave = new AbortController();
    const timer = leaveMs === undefined ? undefined : setTimeout(() => leave.abort(), leaveMs);
    const note = (status: number | "left") => statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const hasBody = method !== "GET" && method !== "HEAD";
    try {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers,
        body: hasBody ? body : undefined,
        signal: leave.signal,
      });
      note(response.status);
      assert(response.status < 500, `${response.status} ${name}`);
      if (response.status >= 400 && method !== "HEAD") await errorOf(response, response.status);
      else await response.arrayBuffer();
    } catch (problem) {
      if (!(problem instanceof DOMException && problem.name === "AbortError")) {
        throw new Error(name, { cause: problem });
      }
      note("left");
    } finally {
      clearTimeout(timer);
    }
  }

  async function client() {
    while (sent < REQUESTS) {
      const mutated = prng.chance(0.1) ? prng.pick(VALID) : mutate(prng.pick(VALID), prng);
      const leaveMs = prng.chance(0.2) ? prng.integer(0, 30) : undefined;
      const name = `seed ${seed}, request ${sent++}: ${JSON.stringify(mutated).slice(0, 400)}`;
      await one(name, mutated, leaveMs);
    }
  }

  await Promise.all(Array.from({ length: CLIENTS }, client));
  for (const status of [200, 400, 404, 429, "left"] as const) {
    assert(statuses.has(status), `no ${status} among ${JSON.stringify([...statuses])}`);
  }
  await untilIdle(server.generation);
  const { running, waiting } = server.generation.load();
  assertEquals([running, waiting], [0, 0]);
});
