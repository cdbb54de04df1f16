/**
 * The application on a real port: clients that send half of something, or nothing that is HTTP.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { listen } from "../../server/listen.ts";
import { fakeServices } from "./fakes.ts";
import { post, type TestApp, testApp } from "./support.ts";
import { exchange, onPort } from "./wire.ts";

async function isAlive(url: URL): Promise<void> {
  assertEquals(await (await fetch(new URL("/healthz", url))).json(), { status: "ok" });
}

Deno.test("a client that sends half of a body gets a 408 in a stated time", async () => {
  await onPort(testApp({ limits: { bodyMs: 50 } }), async (url) => {
    const head = "POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";
    const answer = await exchange(
      url,
      `${head}Content-Length: 100\r\n\r\n{"prompt"`,
      (text) => text.includes("body_too_slow"),
    );
    assertMatch(answer, /^HTTP\/1\.1 408 /);
    await isAlive(url);
  });
});

Deno.test("bytes that are not HTTP close their connection and nothing else", async () => {
  await onPort(testApp(), async (url) => {
    const head = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    const garbage = [
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      `${head}Content-Length: -1\r\n\r\n`,
      `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`,
      `${head}X: ${"x".repeat(500_000)}\r\n\r\n`,
    ];
    for (const text of garbage) assertMatch(await exchange(url, text), /^(HTTP\/1\.[01] 400 |$)/);
    await isAlive(url);
  });
});

Deno.test("a request that comes before the application is ready waits for it", async () => {
  const port = listen("127.0.0.1", 0);
  const early = fetch(`${port.url}/early`);
  port.answerWith(() => new Response("late"));
  assertEquals(await (await early).text(), "late");
  await port.close();
});

Deno.test("no address, method or header makes the server fail: never a 500", async () => {
  const started = testApp();
  await onPort(started, async (url) => {
    const targets = [
      "http://evil.example/healthz",
      "*",
      "//evil.example/x",
      "/%zz",
      "/%00",
      "/v1/../healthz",
      "/\\x",
    ];
    const hosts = [
      "[",
      "a b",
      "",
      "x:99999",
      "x:port",
      "\u00e9",
      "x\r\nOrigin: \u00e9",
      "x\r\nX-Request-Id: \u00e9",
    ];
    const requests = [
      ...targets.map((target) => `${target} HTTP/1.1\r\nHost: x`),
      ...hosts.map((host) => `/healthz HTTP/1.1\r\nHost: ${host}`),
    ];
    for (const method of ["GET", "POST", "TRACE", "CONNECT", "BREW"]) {
      for (const request of requests) {
        const body = "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
        const answer = await exchange(url, `${method} ${request}\r\n${body}`);
        assertMatch(answer, /^(HTTP\/1\.1 [234]\d\d |$)/, `${method} ${request}`);
      }
    }
    await isAlive(url);
  });
  assertEquals(started.lines.filter(({ level }) => level === "error"), []);
});

/** Waits until nothing is being generated; a place that stays taken fails the test. */
async function placesFree({ services }: TestApp): Promise<void> {
  const isFree = async () => {
    while (services.generation.load().running > 0) await delay(5);
  };
  await deadline(isFree(), 10_000);
}

const LONG = { prompt: "The whale", maxTokens: 1000, stream: true };

Deno.test("clients that leave in the middle of a stream free their places", async () => {
  const started = testApp({}, fakeServices({ tokenMs: 5 }));
  await onPort(started, async (url) => {
    const leave = new AbortController();
    const streams = await Promise.all(
      Array.from(
        { length: 8 },
        () => fetch(new URL("/generate", url), { ...post(LONG), signal: leave.signal }),
      ),
    );
    const readers = streams.map((response) => response.body!.getReader());
    await Promise.all(readers.map((reader) => reader.read()));
    assertEquals(started.services.generation.load().running, 8);
    leave.abort();
    await placesFree(started);
    await Promise.allSettled(readers.map((reader) => reader.cancel()));
    await isAlive(url);
  });
});

Deno.test("clients that leave before the first token, or while they wait, free their places", async () => {
  const started = testApp({}, fakeServices({ tokenMs: 50, slots: 2 }));
  await onPort(started, async (url) => {
    const leave = new AbortController();
    const asked = Array.from(
      { length: 6 },
      () => fetch(new URL("/generate", url), { ...post({ ...LONG, stream: false }), signal: leave.signal }),
    );
    const waiting = async () => {
      while (started.services.generation.load().waiting < 4) await delay(5);
    };
    await deadline(waiting(), 10_000);
    leave.abort();
    await Promise.allSettled(asked);
    await placesFree(started);
    assertEquals(started.services.generation.load().waiting, 0);
    await isAlive(url);
  });
});

Deno.test("a client that asks for much and reads nothing holds its place for a stated time only", async () => {
  const started = testApp({ stallMs: 200 }, fakeServices());
  await onPort(started, async (url) => {
    using connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    const body = JSON.stringify({ ...LONG, maxTokens: 16_384, n: 4, logprobs: 5 });
    const head = `POST /generate HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/json\r\n`;
    const request = new TextEncoder().encode(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    await connection.write(request);
    const begun = async () => {
      while (started.services.generation.load().completionTokens === 0) await delay(1);
    };
    await deadline(begun(), 10_000);
    await placesFree(started);
    const { aborted, bytes } = started.lines.find(({ path }) => path === "/generate") ?? {};
    assertEquals(aborted, true, `all of ${bytes} bytes fitted between server and client`);
    await isAlive(url);
  });
});
