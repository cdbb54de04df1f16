/**
 * What tests of the application share: an application over fakes, with its log in memory.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppOptions, createApp, Log, type ShellEnv } from "../../server/mod.ts";
import { type FakeServices, fakeServices } from "./fakes.ts";

/** An application, what is behind it, and what it wrote to its log. */
export interface TestApp {
  readonly app: OpenAPIHono<ShellEnv>;
  readonly services: FakeServices;
  /** JSON lines, parsed. */
  readonly lines: Record<string, unknown>[];
}

/** An application over fakes. */
export function testApp(options: AppOptions = {}, services: FakeServices = fakeServices()): TestApp {
  const lines: Record<string, unknown>[] = [];
  const log = new Log("json", (line) => lines.push(JSON.parse(line)));
  return { app: createApp(services, { log, ...options }), services, lines };
}

/** Checks that a response is an error in the one form, and returns it. */
export async function errorOf(
  response: Response,
  status: number,
): Promise<{ message: string; type: string; code: string; param: string | null }> {
  const text = await response.text();
  assertEquals(response.status, status, text);
  assertMatch(response.headers.get("Content-Type") ?? "", /^application\/json/);
  const body = JSON.parse(text);
  assertEquals(Object.keys(body), ["error"]);
  assertEquals(Object.keys(body.error).sort(), ["code", "message", "param", "type"]);
  return body.error;
}

/** A POST of JSON. */
export function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}
