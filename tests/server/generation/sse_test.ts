/** Streams of server-sent events: what readers make of them, and what they make of readers. */
import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { allBegun, begun, tellProblems } from "../../../server/generation/answer.ts";
import { merged } from "../../../server/generation/completions.ts";
import { type ServerSentEvent, sseResponse } from "../../../server/generation/sse.ts";
import type { GenerationEvent } from "../../../model/mod.ts";
import { FakeGeneration } from "../fake_generation.ts";

/** Events without end, which count how many were made and note when they are ended. */
function endless(): { events: AsyncGenerator<ServerSentEvent>; made: () => number; isOver: () => boolean } {
  let made = 0;
  let isOver = false;
  const events = (async function* () {
    try {
      for (;;) {
        await Promise.resolve();
        yield { data: String(made++) };
      }
    } finally {
      isOver = true;
    }
  })();
  return { events, made: () => made, isOver: () => isOver };
}

Deno.test("a stream that is quiet for long sends comments, so that no proxy takes it for dead", async () => {
  const events = (async function* () {
    await delay(50);
    yield { event: "token", data: "{}" };
  })();
  const text = await sseResponse(events, () => {}, 10).text();
  const blocks = text.split("\n\n").filter((block) => block !== "");
  assertEquals(blocks.pop(), "event: token\ndata: {}");
  assertEquals(new Set(blocks), new Set([": still here"]));
});

Deno.test("events are made when they are wanted: a reader that does not read makes no events pile up", async () => {
  const { events, made, isOver } = endless();
  let hasLeft = false;
  const reader = sseResponse(events, () => hasLeft = true).body!.getReader();
  await reader.read();
  await reader.read();
  await delay(10);
  assertEquals(made(), 2);
  await reader.cancel();
  assertEquals([hasLeft, isOver()], [true, true]);
});

Deno.test("a client that leaves during a quiet time is noticed then, not at the next event", async () => {
  let hasLeft = false;
  const quiet = Promise.withResolvers<void>();
  const events = (async function* () {
    await quiet.promise;
    yield { data: "late" };
  })();
  const reader = sseResponse(events, () => hasLeft = true, 60_000).body!.getReader();
  const read = reader.read();
  await reader.cancel();
  assertEquals(hasLeft, true);
  assertEquals((await read).done, true);
  quiet.resolve();
});

Deno.test("a source that breaks off tells the client an error and the log the problem", async () => {
  const events = (async function* () {
    yield { data: "first" };
    await Promise.reject(new Error("something inside broke"));
  })();
  const told = tellProblems(events, (error) => ({ event: "error", data: error.code }));
  const reader = sseResponse(told, () => {}).body!.getReader();
  const decoder = new TextDecoder();
  const texts = [await reader.read(), await reader.read()].map(({ value }) => decoder.decode(value));
  assertEquals(texts, ["data: first\n\n", "event: error\ndata: internal_error\n\n"]);
  await assertRejects(() => reader.read(), Error, "something inside broke");
});

const TEXT: GenerationEvent = { kind: "text", choice: 0, text: "a", tokens: [] };
const FAILURE: GenerationEvent = { kind: "failure", code: "queue_full", message: "full" };

/** A source that never ends by itself and notes when it is left. */
function source(
  first: Promise<GenerationEvent>,
): { events: AsyncIterable<GenerationEvent>; isLeft: () => boolean } {
  let isLeft = false;
  const events = (async function* () {
    try {
      yield await first;
      for (;;) yield TEXT;
    } finally {
      isLeft = true;
    }
  })();
  return { events, isLeft: () => isLeft };
}

Deno.test("when one of several prompts is refused, the others are left, also those that begin later", async () => {
  const service = new FakeGeneration();
  const late = Promise.withResolvers<GenerationEvent>();
  const sources = [
    source(Promise.resolve(TEXT)),
    source(Promise.resolve(FAILURE)),
    source(late.promise),
  ];
  let hasLeft = false;
  const starts = sources.map(({ events }) => begun(events, service));
  await assertRejects(() => allBegun(starts, () => hasLeft = true), Error, "full");
  assertEquals(hasLeft, true);
  late.resolve(TEXT);
  await delay(1);
  assertEquals(sources.map(({ isLeft }) => isLeft()), [true, true, true]);
});

Deno.test("a source that is always ready does not keep the others from being heard", async () => {
  const said: number[] = [];
  const each = () =>
    (async function* () {
      for (let i = 0; i < 3; i++) yield i;
    })();
  for await (const [source] of merged([each(), each()])) said.push(source);
  assertEquals(said, [0, 1, 0, 1, 0, 1]);
});

Deno.test("a source that fails while another one's event is looked at does not end the server", async () => {
  const failing = (async function* (): AsyncGenerator<string> {
    yield "b";
    await delay(1);
    throw new Error("something inside broke");
  })();
  const steady = (async function* () {
    for (;;) {
      await Promise.resolve();
      yield "a";
    }
  })();
  const read = async () => {
    for await (const _ of merged<string>([steady, failing])) await delay(5);
  };
  await assertRejects(read, Error, "something inside broke");
});
