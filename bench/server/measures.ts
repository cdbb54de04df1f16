/**
 * What `deno task bench server` measures, one function for each line of its table.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import { type Ask, json, metric, percentile, posted, stream } from "./client.ts";
import type { ServerProcess } from "./process.ts";

/** One line: what, how much, and what is wanted. */
export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The wanted value: at most, unless `atLeast`. */
  readonly target?: number;
  readonly atLeast?: boolean;
}

/** Whether a measure is what it should be; undefined when nothing is wanted of it. */
export function isReached({ value, target, atLeast }: Measure): boolean | undefined {
  if (target === undefined) return undefined;
  return atLeast ? value >= target : value <= target;
}

const ASK: Ask = { prompt: "The whale", maxTokens: 60, temperature: 1, seed: 7 };

/** Queues a job that goes on for long enough. */
export async function startJob(server: ServerProcess, name: string): Promise<void> {
  await json(
    `${server.url}/v1/training/jobs`,
    posted({ preset: "nano", name, steps: 100_000, evalEvery: 0, sampleEvery: 0, saveEvery: 50 }),
  );
  for (let step = 0; step < 5;) {
    await delay(250);
    const job = await json(`${server.url}/v1/training/jobs/${name}`);
    if (job.state === "failed") throw new Error(String(job.error));
    step = Number(job.step);
  }
}

/** Ends a job. */
export async function endJob(server: ServerProcess, name: string): Promise<void> {
  await json(`${server.url}/v1/training/jobs/${name}/cancel`, { method: "POST" });
}

/** Latency of `/healthz` and the longest gap of the main thread, while a job trains. */
export async function health(server: ServerProcess, seconds: number): Promise<Measure[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  await metric(server.url, "sinter_main_thread_delay_longest_seconds"); // a reading starts the next interval
  while (performance.now() < end) {
    const start = performance.now();
    await (await fetch(`${server.url}/healthz`)).body?.cancel();
    times.push(performance.now() - start);
    await delay(5);
  }
  const gap = await metric(server.url, "sinter_main_thread_delay_longest_seconds");
  return [
    { name: "/healthz while a job trains, p50", value: percentile(times, 0.5), unit: "ms" },
    { name: "/healthz while a job trains, p99", value: percentile(times, 0.99), unit: "ms", target: 20 },
    { name: "longest gap of the main thread", value: gap * 1000, unit: "ms", target: 50 },
  ];
}

/** Time to the first token of requests that come one after the other. */
export async function firstToken(server: ServerProcess, count: number, when: string): Promise<Measure[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push((await stream(server.url, { ...ASK, maxTokens: 1 })).firstMs);
  return [
    { name: `time to the first token, ${when}, p50`, value: percentile(times, 0.5), unit: "ms" },
    { name: `time to the first token, ${when}, p99`, value: percentile(times, 0.99), unit: "ms" },
  ];
}

/** Tokens per second of so many clients together, each of which asks again and again. */
export async function throughput(server: ServerProcess, clients: number, seconds: number): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1000;
  let tokens = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < end) {
      const answer = await stream(server.url, ASK);
      tokens += answer.tokens; // not in one expression with the wait: others add as well
    }
  }));
  return tokens / (performance.now() - start) * 1000;
}

/** Throughput at 1, 8 and 32 clients. */
export async function throughputs(server: ServerProcess, seconds: number): Promise<Measure[]> {
  const rates: Measure[] = [];
  for (const clients of [1, 8, 32]) {
    const value = await throughput(server, clients, seconds);
    rates.push({ name: `tokens a second, ${clients} client${clients > 1 ? "s" : ""}`, value, unit: "/s" });
  }
  const ratio = { name: "8 clients together against one", value: rates[1].value / rates[0].value, unit: "x" };
  return [...rates, { ...ratio, target: 3, atLeast: true }];
}

/** Streams at once, each with a request of its own; their texts against those of the same requests alone. */
export async function crowd(server: ServerProcess, clients: number): Promise<Measure[]> {
  const asks = Array.from({ length: clients }, (_, i): Ask => ({
    prompt: `${i} whales`,
    maxTokens: 20 + i % 30,
    seed: i,
    ...i % 3 === 0 ? { topK: 20 } : {},
  }));
  const before = await server.residentBytes();
  const start = performance.now();
  const answers = await Promise.allSettled(asks.map((ask) => stream(server.url, ask)));
  const seconds = (performance.now() - start) / 1000;
  const after = await server.residentBytes();
  let wrong = 0;
  const firsts: number[] = [];
  for (const [i, answer] of answers.entries()) {
    if (answer.status === "rejected") {
      wrong++;
      continue;
    }
    firsts.push(answer.value.firstMs);
    const alone = await stream(server.url, asks[i]);
    if (alone.text !== answer.value.text) wrong++;
  }
  return [
    { name: `${clients} streams at once: lost or mixed`, value: wrong, unit: "", target: 0 },
    { name: `${clients} streams at once: all of them`, value: seconds, unit: "s" },
    { name: `${clients} streams at once: first token p99`, value: percentile(firsts, 0.99), unit: "ms" },
    {
      name: `${clients} streams at once: more memory`,
      value: (after - before) / 2 ** 20,
      unit: "MiB",
      target: 256,
    },
  ];
}

/** Milliseconds until no sequence runs any more. */
async function untilFree(server: ServerProcess, timeoutMs: number): Promise<number> {
  const start = performance.now();
  while (performance.now() - start < timeoutMs) {
    if (await metric(server.url, "sinter_generation_running") === 0) return performance.now() - start;
    await delay(50);
  }
  return Infinity;
}

/** How long clients that go away, and clients that stop reading, keep their places. */
export async function leavers(server: ServerProcess): Promise<Measure[]> {
  const { hostname, port } = new URL(server.url);
  const open = async () => {
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const body = JSON.stringify({ ...ASK, maxTokens: 8_000, n: 8, stream: true, logprobs: 5 });
    const head = `POST /generate HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\n`;
    await connection.write(new TextEncoder().encode(`${head}Content-Length: ${body.length}\r\n\r\n${body}`));
    await delay(500);
    if (await metric(server.url, "sinter_generation_running") === 0) {
      throw new Error("the request took no place");
    }
    return connection;
  };
  const gone = await open();
  gone.close();
  const afterLeaving = await untilFree(server, 60_000);
  const stalled = await open();
  const afterStalling = await untilFree(server, 120_000);
  stalled.close();
  return [
    { name: "a client that leaves keeps its place for", value: afterLeaving, unit: "ms", target: 1000 },
    // The system's buffers fill first, which takes some seconds; then it has 30.
    {
      name: "a client that stops reading keeps its place for",
      value: afterStalling / 1000,
      unit: "s",
      target: 60,
    },
  ];
}
