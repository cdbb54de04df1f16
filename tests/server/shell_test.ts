/**
 * What surrounds every request: ids, the form of errors, headers, the log.
 *
 * @module
 */
import { assert, assertEquals, assertFalse, assertMatch, assertStringIncludes } from "@std/assert";
import { Lifecycle } from "../../server/mod.ts";
import { errorOf, post, testApp } from "./support.ts";

Deno.test("an unknown route is a 404 in the form of errors, not the framework's text", async () => {
  const error = await errorOf(await testApp().app.request("/v1/nothing"), 404);
  assertEquals([error.code, error.type], ["unknown_route", "not_found_error"]);
});

Deno.test("a known route with another method is a 405 that names the ones there are", async () => {
  const response = await testApp().app.request("/healthz", { method: "DELETE" });
  assertEquals(response.headers.get("Allow"), "GET, HEAD");
  assertEquals((await errorOf(response, 405)).code, "method_not_allowed");
});

Deno.test("an internal error tells the client the request's id and nothing of its cause", async () => {
  const { app, services, lines } = testApp();
  services.training.broken = new Error("secret path /etc/passwd");
  const response = await app.request("/metrics", { headers: { "X-Request-Id": "abc-1" } });
  const error = await errorOf(response, 500);
  assertStringIncludes(error.message, "abc-1");
  assertFalse(JSON.stringify(error).includes("secret"));
  const line = lines.find(({ level }) => level === "error");
  assertEquals(line?.id, "abc-1");
  assertMatch(String(line?.message), /secret path/);
  assertMatch(String(line?.stack), /shell_test/);
});

Deno.test("a harmless request id comes back as it is", async () => {
  const response = await testApp().app.request("/healthz", { headers: { "X-Request-Id": "trace_1.a-B" } });
  assertEquals(response.headers.get("X-Request-Id"), "trace_1.a-B");
});

Deno.test("a request id that could forge a line of the log is replaced", async () => {
  for (const id of ["a b", "x".repeat(65), '"}', "\u00e9"]) {
    const response = await testApp().app.request("/healthz", { headers: { "X-Request-Id": id } });
    assertMatch(response.headers.get("X-Request-Id") ?? "", /^[0-9a-f-]{36}$/);
  }
});

Deno.test("every response forbids what browsers should not do, errors included", async () => {
  for (const path of ["/healthz", "/nothing", "/reference"]) {
    const { headers } = await testApp().app.request(path);
    assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
    assertEquals(headers.get("X-Frame-Options"), "DENY");
    const policy = headers.get("Content-Security-Policy") ?? "";
    assertStringIncludes(policy, "default-src 'none'");
    assertFalse(policy.includes("unsafe"), policy);
    assertStringIncludes(policy, "frame-ancestors 'none'");
  }
});

Deno.test("each request is one line of the log, with the bytes that were really sent", async () => {
  const { app, lines } = testApp();
  const response = await app.request("/readyz?token=secret", { headers: { "X-Request-Id": "r1" } });
  const bytes = (await response.arrayBuffer()).byteLength;
  assertEquals(lines.length, 1);
  const { time, ms, ...line } = lines[0];
  assertEquals(line, {
    level: "info",
    message: "request",
    id: "r1",
    method: "GET",
    path: "/readyz",
    status: 200,
    bytes,
  });
  assert(Number(ms) >= 0 && !Number.isNaN(Date.parse(String(time))));
});

Deno.test("readyz says when requests should not be sent here, healthz does not care", async () => {
  const lifecycle = new Lifecycle();
  const { app } = testApp({ lifecycle });
  const look = async () => {
    const [health, ready] = await Promise.all(["/healthz", "/readyz"].map((path) => app.request(path)));
    assertEquals(health.status, 200);
    await health.body?.cancel();
    return [ready.status, (await ready.json()).status];
  };
  assertEquals(await look(), [503, "starting"]);
  lifecycle.setUp(true);
  assertEquals(await look(), [200, "ready"]);
  lifecycle.setUp(false);
  assertEquals(await look(), [503, "recovering"]);
  lifecycle.drain();
  lifecycle.setUp(true);
  assertEquals(await look(), [503, "draining"]);
});

Deno.test("new work is refused while the server drains, with a time to come back", async () => {
  const lifecycle = Lifecycle.ready();
  const { app } = testApp({ lifecycle });
  lifecycle.drain();
  const response = await app.request("/generate", post({ prompt: "x" }));
  assertEquals(response.headers.get("Retry-After"), "10");
  assertEquals((await errorOf(response, 503)).code, "shutting_down");
});
