/**
 * Who may do what: tokens, and pages of other sites.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Access, type Role } from "../../server/mod.ts";
import { errorOf, post, testApp } from "./support.ts";

const TOKENS = { generation: "generation-token", admin: "admin-token" };

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly role: Role | undefined;
}

/** Every operation of the document, with parameters filled in and the role whose token it names. */
async function operations(): Promise<Operation[]> {
  const api = await (await testApp().app.request("/openapi.json")).json();
  return Object.entries<Record<string, { security?: Record<string, string[]>[] }>>(api.paths).flatMap((
    [path, methods],
  ) =>
    Object.entries(methods).map(([method, { security }]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, "1"),
      role: Object.keys(security?.[0] ?? {})[0] as Role | undefined,
    }))
  );
}

/** Answers of every operation that needs a role's token, to a request with that header. */
async function statuses(
  role: Role | undefined,
  authorization: string | undefined,
): Promise<Map<string, Response>> {
  const { app } = testApp({ access: new Access(TOKENS) });
  const wanted = (await operations()).filter((operation) => operation.role === role);
  const headers: Record<string, string> = authorization === undefined ? {} : { Authorization: authorization };
  const answers = new Map<string, Response>();
  for (const { method, path } of wanted) {
    const request = method === "POST" ? post({}, headers) : { method, headers };
    answers.set(`${method} ${path}`, await app.request(path, request));
  }
  assert(answers.size > 0);
  return answers;
}

const isRefused = (response: Response) => response.status === 401 || response.status === 403;

for (const role of ["generation", "admin"] as const) {
  Deno.test(`no operation for ${role} answers without a token, with a wrong one or a malformed header`, async () => {
    for (
      const header of [
        undefined,
        "Bearer wrong",
        `Basic ${TOKENS[role]}`,
        `Bearer ${TOKENS[role]}x`,
        "Bearer",
      ]
    ) {
      for (const [name, response] of await statuses(role, header)) {
        assertEquals(response.headers.get("WWW-Authenticate"), 'Bearer realm="sinter"', name);
        await errorOf(response, 401);
      }
    }
  });

  Deno.test(`the admin token opens every operation for ${role}`, async () => {
    for (const [name, response] of await statuses(role, `Bearer ${TOKENS.admin}`)) {
      assert(!isRefused(response), name);
      await response.body?.cancel();
    }
  });
}

Deno.test("the generation token opens generation and no training control or programs", async () => {
  const authorization = `Bearer ${TOKENS.generation}`;
  for (const [name, response] of await statuses("generation", authorization)) {
    assert(!isRefused(response), name);
    await response.body?.cancel();
  }
  for (const response of (await statuses("admin", authorization)).values()) {
    assertEquals((await errorOf(response, 403)).type, "permission_error");
  }
});

Deno.test("health, pages and the reference need no token: browsers could not send one", async () => {
  const { app } = testApp({ access: new Access(TOKENS) });
  for (const path of ["/", "/healthz", "/readyz", "/reference", "/reference/page.js", "/openapi.json"]) {
    const response = await app.request(path);
    assertEquals(response.status, 200, path);
    await response.body?.cancel();
  }
});

Deno.test("training control and programs are the administrator's, and generation is not", async () => {
  const roles = new Map((await operations()).map(({ path, role }) => [path, role]));
  for (const [path, role] of roles) {
    if (/^\/v1\/(training|programs)/.test(path)) assertEquals(role, "admin", path);
    else if (/^\/(v1|generate|metrics)/.test(path)) assertEquals(role, "generation", path);
    else assertEquals(role, undefined, path);
  }
});

Deno.test("a server for this machine alone refuses requests for another name: DNS rebinding", async () => {
  const { app } = testApp({ loopbackOnly: true });
  const ask = (host: string) => app.request("/healthz", { headers: { Host: host } });
  for (
    const host of ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1@evil", "0.0.0.0"]
  ) {
    assertEquals((await errorOf(await ask(host), 421)).code, "foreign_host", host);
  }
  for (const host of ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:9"]) {
    const response = await ask(host);
    assertEquals(response.status, 200, host);
    await response.body?.cancel();
  }
});

Deno.test("a page of another origin cannot have anything done", async () => {
  const { app } = testApp();
  const ask = (origin: string, options = {}) => {
    const headers = { Origin: origin, Host: "127.0.0.1:8000", ...options };
    return app.request("/generate", post({ prompt: "x" }, headers));
  };
  for (const origin of ["https://evil.example", "null", "http://127.0.0.1:9000"]) {
    assertEquals((await errorOf(await ask(origin), 403)).code, "foreign_origin", origin);
  }
  const own = await ask("http://127.0.0.1:8000");
  assert(own.status !== 403);
  await own.body?.cancel();
});

Deno.test("no origin may read answers unless it was named, and then only that one", async () => {
  const allowed = (headers: Headers) => headers.get("Access-Control-Allow-Origin");
  const ask = (app: ReturnType<typeof testApp>["app"], origin: string) =>
    app.request("/healthz", { headers: { Origin: origin } });
  assertEquals(allowed((await ask(testApp().app, "http://a.example")).headers), null);
  const { app } = testApp({ cors: ["http://a.example"], access: new Access(TOKENS) });
  assertEquals(allowed((await ask(app, "http://a.example")).headers), "http://a.example");
  assertEquals(allowed((await ask(app, "http://b.example")).headers), null);
  const preflight = await app.request("/generate", {
    method: "OPTIONS",
    headers: {
      "Origin": "http://a.example",
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type",
    },
  });
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("Access-Control-Allow-Headers"), "authorization,content-type");
});
