/** `POST /generate` over a model that is told what to do. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { GenerationEvent } from "../../../model/mod.ts";
import { FAKE_TEXT, FakeGeneration } from "../fake_generation.ts";
import { errorOf, post, testApp } from "../support.ts";
import { serveFakes, untilIdle } from "./serve.ts";

interface Sent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

function eventsOf(text: string): Sent[] {
  return text.split("\n\n").filter((block) => block.startsWith("event:")).map((block) => {
    const [event, data] = block.split("\n");
    return { event: event.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
  });
}

Deno.test("an answer has text, reason, seed and usage", async () => {
  const { app } = testApp();
  const response = await app.request(
    "/generate",
    post({ prompt: "Call me", maxTokens: 4, temperature: 0, seed: 5 }),
  );
  const { firstTokenMs, ...answer } = await response.json();
  assert(firstTokenMs >= 0);
  assertEquals(answer, {
    model: "first",
    seed: 5,
    choices: [{ index: 0, text: FAKE_TEXT.slice(0, 4), finishReason: "length" }],
    usage: { promptTokens: 7, completionTokens: 4, totalTokens: 11 },
  });
});

Deno.test("a stream has an event for every token, then the reasons and the end", async () => {
  const { app } = testApp();
  const response = await app.request(
    "/generate",
    post({ tokens: [72, 105], maxTokens: 4, temperature: 0, stream: true, n: 2 }),
  );
  assertMatch(response.headers.get("Content-Type")!, /^text\/event-stream/);
  const events = eventsOf(await response.text());
  for (const index of [0, 1]) {
    const own = events.filter(({ event, data }) => event === "token" && data.index === index);
    assertEquals(own.map(({ data }) => data.text).join(""), FAKE_TEXT.slice(0, 4));
    assertEquals(own.length, 4);
  }
  assertEquals(events.slice(-1).map(({ event, data }) => [event, data.usage]), [
    ["end", { promptTokens: 2, completionTokens: 8, totalTokens: 10 }],
  ]);
  assertEquals(events.filter(({ event }) => event === "finish").length, 2);
});

/** A model that answers with given events. */
class Scripted extends FakeGeneration {
  constructor(private readonly script: readonly GenerationEvent[]) {
    super();
  }

  override async *generate(): AsyncGenerator<GenerationEvent> {
    yield* this.script;
  }
}

const token = (token: number, textOffset: number) => ({ token, text: "\ufffd", textOffset });

Deno.test("tokens that are parts of a character come with the text that is whole, not with halves", async () => {
  const script: GenerationEvent[] = [
    {
      kind: "text",
      choice: 0,
      text: "a\u{1f40b}",
      tokens: [token(1, 0), token(2, 1), token(3, 1), token(4, 1)],
    },
    { kind: "text", choice: 0, text: "b", tokens: [token(5, 3)] },
    { kind: "finish", choice: 0, reason: "length" },
    { kind: "end", promptTokens: 1, completionTokens: 5, firstTokenMs: 1 },
  ];
  await using server = serveFakes({}, new Scripted(script));
  const response = await fetch(`${server.url}/generate`, post({ prompt: "x", stream: true }));
  const texts = eventsOf(await response.text()).filter(({ event }) => event === "token").map(({ data }) =>
    data.text
  );
  assertEquals(texts, ["a", "", "", "\u{1f40b}", "b"]);
});

Deno.test("a failure before the first token is a status, one after it an event", async () => {
  const failure = { kind: "failure", code: "device_lost", message: "the GPU was lost: try again" } as const;
  await using early = serveFakes({}, new Scripted([failure]));
  const refused = await fetch(`${early.url}/generate`, post({ prompt: "x", stream: true }));
  assertEquals((await errorOf(refused, 503)).code, "device_lost");
  assertEquals(refused.headers.get("Retry-After"), "1");
  const text: GenerationEvent = { kind: "text", choice: 0, text: "a", tokens: [token(1, 0)] };
  await using late = serveFakes({}, new Scripted([text, failure]));
  const broken = await fetch(`${late.url}/generate`, post({ prompt: "x", stream: true }));
  assertEquals(broken.status, 200);
  const last = eventsOf(await broken.text()).at(-1)!;
  assertEquals([last.event, (last.data.error as Record<string, unknown>).code], ["error", "device_lost"]);
  const whole = await fetch(`${late.url}/generate`, post({ prompt: "x" }));
  assertEquals((await errorOf(whole, 503)).code, "device_lost");
});

Deno.test("what a request must not say is refused by name", async () => {
  const { app } = testApp();
  const cases: [body: unknown, param: string | null][] = [
    [{}, "prompt"],
    [{ prompt: "x", tokens: [1] }, "prompt"],
    [{ prompt: 5 }, "prompt"],
    [{ prompt: "x".repeat(100_001) }, "prompt"],
    [{ tokens: [] }, "tokens"],
    [{ tokens: [1.5] }, "tokens[0]"],
    [{ tokens: [-1] }, "tokens[0]"],
    [{ prompt: "x", maxTokens: -1 }, "maxTokens"],
    [{ prompt: "x", maxTokens: 1e9 }, "maxTokens"],
    [{ prompt: "x", maxTokens: 16_000, n: 5 }, "maxTokens"],
    [{ prompt: "x", temperature: "hot" }, "temperature"],
    [{ prompt: "x", topP: 0 }, "topP"],
    [{ prompt: "x", n: 17 }, "n"],
    [{ prompt: "x", stop: [""] }, "stop[0]"],
    [{ prompt: "x", logprobs: 6 }, "logprobs"],
    [{ prompt: "x", seed: 2 ** 32 }, "seed"],
    [{ prompt: "x", temprature: 1 }, "temprature"],
    ["{", null],
    ["null", null],
    ['{"prompt": "x", "temperature": NaN}', null],
  ];
  for (const [body, param] of cases) {
    const error = await errorOf(await app.request("/generate", post(body)), 400);
    assertEquals(error.param, param, JSON.stringify(body));
  }
});

Deno.test("a client that goes away while it waits for JSON frees its place", async () => {
  await using server = serveFakes({ slots: 1, tokenMs: 5 });
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const body = JSON.stringify({ prompt: "x", maxTokens: 10_000 });
  const head = `POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
  await connection.write(new TextEncoder().encode(`${head}Content-Length: ${body.length}\r\n\r\n${body}`));
  while (server.generation.load().running === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  connection.close();
  await untilIdle(server.generation);
});

Deno.test("many streams at once get their own text, all of it", async () => {
  await using server = serveFakes({ slots: 4, maxWaiting: 100, tokenMs: 1 });
  const one = async (seed: number) => {
    const response = await fetch(
      `${server.url}/generate`,
      post({ prompt: "x", maxTokens: 30, seed, stream: true }),
    );
    return eventsOf(await response.text()).filter(({ event }) => event === "token").map(({ data }) =>
      data.text
    ).join("");
  };
  const texts = await Promise.all(Array.from({ length: 40 }, (_, seed) => one(seed)));
  texts.forEach((text, seed) => {
    const expected = Array.from({ length: 30 }, (_, i) => FAKE_TEXT[(seed + i) % FAKE_TEXT.length]).join("");
    assertEquals(text, expected, `seed ${seed}`);
  });
});

Deno.test("a stop text that is half of a character is refused: it could cut one in two", async () => {
  const { app } = testApp();
  const error = await errorOf(
    await app.request("/generate", post('{"prompt": "x", "stop": ["\\udc0b"]}')),
    400,
  );
  assertEquals(error.param?.startsWith("stop"), true);
});
