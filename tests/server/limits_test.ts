/**
 * Bounds on what a request may bring, and on how long a reader may take.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { watchBody } from "../../server/http/watch_body.ts";
import { errorOf, post, testApp } from "./support.ts";

const LIMITS = { urlLength: 100, headerLength: 500, bodyBytes: 1000, bodyMs: 50 };

Deno.test("a long URL is a 414", async () => {
  const { app } = testApp({ limits: LIMITS });
  assertEquals((await errorOf(await app.request(`/${"x".repeat(100)}`), 414)).code, "url_too_long");
  assertEquals((await errorOf(await app.request(`/?${"x".repeat(100)}`), 414)).code, "url_too_long");
});

Deno.test("long headers are a 431, one or many", async () => {
  const { app } = testApp({ limits: LIMITS });
  const one = { "X-One": "x".repeat(500) };
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`X-${index}`, "value"]));
  for (const headers of [one, many]) {
    assertEquals((await errorOf(await app.request("/healthz", { headers }), 431)).code, "headers_too_large");
  }
});

/** A body in pieces, so that no header tells its length. */
function inPieces(pieces: number, bytes: number, pauseMs: number): RequestInit {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent++ === pieces) return controller.close();
      if (pauseMs > 0) await delay(pauseMs);
      controller.enqueue(new Uint8Array(bytes).fill(32));
    },
  });
  return { method: "POST", headers: { "Content-Type": "application/json" }, body };
}

Deno.test("a large body is a 413, whether its length is told or not", async () => {
  const { app } = testApp({ limits: LIMITS });
  const told = await app.request("/generate", post("x".repeat(1001), { "Content-Length": "1001" }));
  assertEquals((await errorOf(told, 413)).code, "body_too_large");
  const untold = await app.request("/generate", inPieces(11, 100, 0));
  assertEquals((await errorOf(untold, 413)).code, "body_too_large");
});

Deno.test("a body that does not arrive is a 408, not a request that waits for ever", async () => {
  const { app } = testApp({ limits: LIMITS });
  assertEquals(
    (await errorOf(await app.request("/generate", inPieces(10, 1, 30)), 408)).code,
    "body_too_slow",
  );
});

/** A source that counts how often it was cancelled and never ends by itself. */
function endless(): { body: ReadableStream<Uint8Array<ArrayBuffer>>; cancelled: () => number } {
  let cancelled = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => void cancelled++,
  });
  return { body, cancelled: () => cancelled };
}

Deno.test("a reader that stops reading is given up, and what feeds it is told", async () => {
  const { body, cancelled } = endless();
  const end = Promise.withResolvers<{ bytes: number; aborted: boolean }>();
  const reader = watchBody(body, { onEnd: end.resolve, stallMs: 20 }).getReader();
  await reader.read();
  await delay(60);
  assertEquals(await end.promise, { bytes: 10, aborted: true });
  assertEquals(cancelled(), 1);
  await assertRejects(() => reader.read(), DOMException, "stalled");
});

Deno.test("a reader that waits for a slow source is not taken for a stalled one", async () => {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      controller.enqueue(new Uint8Array(1));
      await delay(60);
      controller.enqueue(new Uint8Array(2));
      controller.close();
    },
  });
  const end = Promise.withResolvers<{ bytes: number; aborted: boolean }>();
  const bytes = await new Response(watchBody(body, { onEnd: end.resolve, stallMs: 20 })).bytes();
  assertEquals(bytes.byteLength, 3);
  assertEquals(await end.promise, { bytes: 3, aborted: false });
});

Deno.test("a source that fails is told with its failure: the log has nothing else of it", async () => {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.error(new Error("the source failed")),
  });
  const end = Promise.withResolvers<{ bytes: number; aborted: boolean; problem?: unknown }>();
  const reader = watchBody(body, { onEnd: end.resolve, stallMs: 1000 }).getReader();
  await assertRejects(() => reader.read(), Error, "the source failed");
  const { aborted, problem } = await end.promise;
  assertEquals([aborted, String(problem)], [true, "Error: the source failed"]);
});

Deno.test("a reader that leaves ends the source", async () => {
  const { body, cancelled } = endless();
  const end = Promise.withResolvers<{ bytes: number; aborted: boolean }>();
  const watched = watchBody(body, { onEnd: end.resolve, stallMs: 1000 });
  await watched.cancel();
  assertEquals((await end.promise).aborted, true);
  assertEquals(cancelled(), 1);
});

Deno.test("a stream that is followed ends properly when the server drains", async () => {
  const { body, cancelled } = endless();
  const draining = new AbortController();
  const reader = watchBody(body, { onEnd: () => {}, stallMs: 1000, endSignal: draining.signal }).getReader();
  await reader.read();
  draining.abort();
  assertEquals((await reader.read()).done, true);
  assertEquals(cancelled(), 1);
});
