/**
 * What the server measures of itself, as Prometheus reads it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { DEFAULT_SAMPLING, type GenerationRequest } from "../../model/mod.ts";
import { Metrics } from "../../server/mod.ts";
import { fakeServices } from "./fakes.ts";
import { type Family, parseMetrics, type Sample } from "./prometheus.ts";
import { testApp } from "./support.ts";

const REQUEST: GenerationRequest = {
  prompt: "The whale",
  maxTokens: 5,
  sampling: DEFAULT_SAMPLING,
  stop: [],
  choices: 1,
};

async function scrape(metrics: Metrics): Promise<Map<string, Family>> {
  return parseMetrics(await metrics.render());
}

/** The sample of that name with those labels; fails when there is none. */
function sample(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): Sample {
  const samples = [...families.values()].flatMap((family) => family.samples);
  const found = samples.find((one) =>
    one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value)
  );
  if (!found) throw new Error(`there is no ${name} ${JSON.stringify(labels)}`);
  return found;
}

Deno.test("every metric has a help and a type, and histograms add up", async () => {
  const services = fakeServices();
  const metrics = new Metrics(services);
  const { app } = testApp({ metrics }, services);
  await (await app.request("/healthz")).text();
  const response = await app.request("/metrics");
  assertEquals(response.headers.get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  const families = parseMetrics(await response.text());
  for (const [name, { type, help, samples }] of families) {
    assert(/^(sinter|process)_/.test(name), name);
    assert(help !== "" && ["counter", "gauge", "histogram"].includes(type), name);
    if (type !== "histogram") continue;
    const counts = samples.filter((one) => one.name === `${name}_count`);
    for (const count of counts) {
      const same = (one: Sample) =>
        Object.entries(count.labels).every(([label, value]) => one.labels[label] === value);
      const buckets = samples.filter((one) => one.name === `${name}_bucket` && same(one));
      assertEquals(buckets.at(-1)?.labels.le, "+Inf", name);
      assertEquals(buckets.at(-1)?.value, count.value, name);
      buckets.forEach(({ value }, index) => assert(index === 0 || value >= buckets[index - 1].value, name));
    }
  }
});

Deno.test("requests are counted by the pattern of their route, so that no client can make labels", async () => {
  const services = fakeServices();
  const metrics = new Metrics(services);
  const { app } = testApp({ metrics }, services);
  for (const path of ["/healthz", "/healthz", "/random-1", "/random-2"]) {
    await (await app.request(path)).text();
  }
  await (await app.request("/healthz", { method: "BREW" })).text();
  const families = await scrape(metrics);
  const count = (labels: Record<string, string>) =>
    sample(families, "sinter_http_request_seconds_count", labels).value;
  assertEquals(count({ method: "GET", route: "/healthz", status: "200" }), 2);
  assertEquals(count({ method: "GET", route: "none", status: "404" }), 2);
  assertEquals(count({ method: "other", status: "405" }), 1);
  assertEquals(sample(families, "sinter_http_requests_in_flight").value, 0);
});

Deno.test("requests for text are timed and counted by how they end", async () => {
  const services = fakeServices({ tokenMs: 2 });
  const metrics = new Metrics(services);
  const measured = metrics.generation.measure(services.generation);
  const never = new AbortController().signal;
  for await (const _ of measured.generate(undefined, REQUEST, never));
  for await (const _ of measured.generate("nobody", REQUEST, never));
  for await (const _ of measured.generate(undefined, REQUEST, never)) break;
  const families = await scrape(metrics);
  const ended = (outcome: string) => sample(families, "sinter_generation_requests_total", { outcome }).value;
  assertEquals(["completed", "unknown_model", "disconnected"].map(ended), [1, 1, 1]);
  assertEquals(sample(families, "sinter_generation_first_token_seconds_count").value, 2);
  assertEquals(sample(families, "sinter_generation_token_seconds_count").value, 1);
  assert(sample(families, "sinter_generation_first_token_seconds_sum").value > 0.003);
  const { promptTokens, completionTokens } = services.generation.load();
  assertEquals(sample(families, "sinter_generation_prompt_tokens_total").value, promptTokens);
  assertEquals(sample(families, "sinter_generation_completion_tokens_total").value, completionTokens);
  assertEquals(sample(await scrape(metrics), "sinter_generation_prompt_tokens_total").value, promptTokens);
});

Deno.test("leaving a measured stream leaves the stream behind it: a slot is freed", async () => {
  const services = fakeServices();
  const measured = new Metrics(services).generation.measure(services.generation);
  for await (const _ of measured.generate(undefined, REQUEST, new AbortController().signal)) break;
  assertEquals(services.generation.load().running, 0);
});

Deno.test("the running job's figures are there while it runs, and not another's", async () => {
  const services = fakeServices();
  const metrics = new Metrics(services);
  const { training } = services;
  await training.create({});
  await training.create({});
  training.step("job-1", 2.5);
  metrics.training.record({ id: 1, time: "", kind: "compiled", data: { peakBytes: 4096 } });
  metrics.training.record({ id: 2, time: "", kind: "step", data: { step: 1, loss: 2.5, ms: 40 } });
  const families = await scrape(metrics);
  assertEquals(sample(families, "sinter_training_loss", { job: "job-1" }).value, 2.5);
  assertEquals(sample(families, "sinter_training_step", { job: "job-1" }).value, 1);
  assertEquals(sample(families, "sinter_training_jobs", { state: "queued" }).value, 1);
  assertEquals(sample(families, "sinter_training_jobs", { state: "running" }).value, 1);
  assertEquals(sample(families, "sinter_training_step_seconds_sum").value, 0.04);
  assertEquals(sample(families, "sinter_gpu_memory_bytes", { user: "training" }).value, 4096);
  await training.cancel("job-1");
  await training.cancel("job-2");
  const later = await scrape(metrics);
  assertEquals(later.get("sinter_training_loss")?.samples, []);
  assertEquals(sample(later, "sinter_gpu_memory_bytes", { user: "training" }).value, 0);
});

Deno.test("a main thread that was blocked shows", async () => {
  const metrics = new Metrics(fakeServices());
  metrics.thread.start();
  await delay(30);
  const until = performance.now() + 120;
  while (performance.now() < until);
  await delay(30);
  metrics.thread.stop();
  assert(sample(await scrape(metrics), "sinter_main_thread_delay_longest_seconds").value > 0.08);
  assertEquals(sample(await scrape(metrics), "sinter_main_thread_delay_longest_seconds").value, 0);
});
