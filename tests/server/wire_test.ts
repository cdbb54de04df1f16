/**
 * The application on a real port: clients that send half of something, or nothing that is HTTP.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { listen } from "../../server/listen.ts";
import { testApp } from "./support.ts";
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
