/**
 * A thousand requests that are nearly right: never a 500, never a crash, never a stuck slot.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Metrics } from "../../server/mod.ts";
import { Prng } from "../support/prng.ts";
import { fakeServices } from "./fakes.ts";
import { type Draft, mutate } from "./mutate.ts";
import { parseMetrics } from "./prometheus.ts";
import { errorOf, testApp } from "./support.ts";

const REQUESTS = 1000;

const GENERATE = {
  prompt: "The whale",
  maxTokens: 5,
  temperature: 0.8,
  topK: 10,
  topP: 0.9,
  minP: 0.05,
  repetitionPenalty: 1.1,
  seed: 7,
  stop: ["\n", "whale"],
  logprobs: 2,
  n: 2,
  stream: true,
  model: "first",
};

const COMPLETION = {
  model: "first",
  prompt: ["The whale", "Call me"],
  max_tokens: 5,
  temperature: 0.8,
  top_p: 0.9,
  n: 2,
  stream: true,
  stream_options: { include_usage: true },
  logprobs: 2,
  echo: true,
  stop: "\n",
  seed: 7,
};

/** Bodies of the operations that take one. */
const BODIES: Readonly<Record<string, unknown>> = {
  "/generate": GENERATE,
  "/v1/completions": COMPLETION,
  "/v1/training/jobs": { name: "second", preset: "nano", layers: 1, width: 32, heads: 2, steps: 10, seed: 7 },
  "/v1/training/jobs/{id}/sample": { prompt: "The whale", maxTokens: 5 },
};

/** One valid request for every operation of the document. */
async function drafts(app: ReturnType<typeof testApp>["app"]): Promise<Draft[]> {
  const { paths } = await (await app.request("/openapi.json")).json() as {
    paths: Record<string, Record<string, unknown>>;
  };
  const values: Record<string, string> = {
    id: "job-1",
    step: "1",
    file: "model.json",
    hash: "0123456789abcdef",
  };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? "1"),
      headers: { "Content-Type": "application/json" },
      body: method === "post" ? JSON.stringify(BODIES[path] ?? {}) : undefined,
    }))
  );
}

/** Reads an answer; of a stream that may never end only the beginning. */
async function read(response: Response, draft: Draft): Promise<void> {
  const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
  if (isStream && draft.method === "GET") {
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
  } else await response.arrayBuffer();
}

Deno.test("a thousand mutated requests: no 500, every refusal in the one form, every slot free at the end", async () => {
  const seed = 20260131;
  const prng = new Prng(seed);
  const services = fakeServices();
  const metrics = new Metrics(services);
  const { app, lines } = testApp({ metrics }, services);
  await services.training.create({});
  const valid = await drafts(app);
  const statuses = new Map<number, number>();
  for (let index = 0; index < REQUESTS; index++) {
    const draft = mutate(prng.pick(valid), prng);
    const name = `seed ${seed}, request ${index}: ${JSON.stringify(draft).slice(0, 400)}`;
    const { method, headers } = draft;
    const body = method === "GET" || method === "HEAD" ? undefined : draft.body;
    const response = await app.request(draft.path, { method, headers, body });
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    assert(response.status < 500, `${response.status} ${name}`);
    if (response.status >= 400 && method !== "HEAD") await errorOf(response, response.status);
    else await read(response, draft);
  }
  assert(statuses.size > 4, `too tame: ${JSON.stringify([...statuses])}`);
  assertEquals(lines.filter(({ level }) => level === "error"), []);
  const { running, waiting } = services.generation.load();
  assertEquals([running, waiting], [0, 0]);
  const inFlight = parseMetrics(await metrics.render()).get("sinter_http_requests_in_flight");
  assertEquals(inFlight?.samples[0].value, 0);
});
