/**
 * Input that a schema refuses, on a route of the test's own.
 *
 * @module
 */
import { createRoute, z } from "@hono/zod-openapi";
import { assertEquals, assertMatch } from "@std/assert";
import { InputError } from "../../model/mod.ts";
import { errorOf, post, type TestApp, testApp } from "./support.ts";

const Body = z.strictObject({
  prompt: z.string(),
  stop: z.array(z.object({ text: z.string() })).optional(),
  count: z.number().int().min(1).optional(),
});

const route = createRoute({
  method: "post",
  path: "/test/{id}",
  request: {
    params: z.object({ id: z.string().regex(/^\w+$/) }),
    query: z.object({ limit: z.coerce.number().max(10).optional() }),
    body: { required: true, content: { "application/json": { schema: Body } } },
  },
  responses: { 200: { description: "Fine.", content: { "application/json": { schema: Body } } } },
});

function appWithRoute(): TestApp["app"] {
  const { app } = testApp();
  app.openapi(route, (context) => {
    const body = context.req.valid("json");
    if (body.prompt === "bad") throw new InputError("--heads 5", "they do not divide the width", "take 4");
    return context.json(body, 200);
  });
  return app;
}

const REFUSED: [name: string, path: string, body: unknown, param: string | null, code: string][] = [
  ["a missing field", "/test/a", {}, "prompt", "invalid_value"],
  ["a wrong type", "/test/a", { prompt: 5 }, "prompt", "invalid_value"],
  ["a wrong item", "/test/a", { prompt: "x", stop: [{ text: "a" }, {}] }, "stop[1].text", "invalid_value"],
  ["an unknown field", "/test/a", { prompt: "x", promt: "y" }, "promt", "invalid_value"],
  ["a fraction", "/test/a", { prompt: "x", count: 1.5 }, "count", "invalid_value"],
  ["no object", "/test/a", "[]", null, "invalid_value"],
  ["null", "/test/a", "null", null, "invalid_value"],
  ["half of a JSON", "/test/a", '{"prompt": "x', null, "malformed_body"],
  ["NaN, which JSON has not", "/test/a", '{"prompt": NaN}', null, "malformed_body"],
  ["an empty body", "/test/a", "", null, "malformed_body"],
  ["a wrong parameter", "/test/a.b", { prompt: "x" }, "id", "invalid_value"],
  ["a wrong query", "/test/a?limit=11", { prompt: "x" }, "limit", "invalid_value"],
  ["input that the model refuses", "/test/a", { prompt: "bad" }, "--heads 5", "invalid_value"],
];

for (const [name, path, body, param, code] of REFUSED) {
  Deno.test(`${name} is a 400 that names the field`, async () => {
    const error = await errorOf(await appWithRoute().request(path, post(body)), 400);
    assertEquals([error.param, error.code, error.type], [param, code, "invalid_request_error"]);
  });
}

Deno.test("a body that does not say that it is JSON is a 415 with the remedy", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
    const response = await appWithRoute().request("/test/a", post({ prompt: "x" }, { "Content-Type": type }));
    assertMatch((await errorOf(response, 415)).message, /Content-Type: application\/json/);
  }
});

Deno.test("what a schema accepts reaches the route as it was sent", async () => {
  const body = { prompt: "\u{1F40B} \u0000 \uD7FF", count: 3 };
  assertEquals(await (await appWithRoute().request("/test/a", post(body))).json(), body);
});
