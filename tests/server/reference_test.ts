/**
 * `/openapi.json` is complete and sound, and the page that shows it needs nothing from elsewhere.
 *
 * @module
 */
import { assert, assertEquals, assertFalse } from "@std/assert";
import { BROWSER, closeBrowser, withPage } from "./pages/browser.ts";
import { testApp } from "./support.ts";
import { onPort } from "./wire.ts";

interface Api {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Record<string, { readonly description: string }>;
}

async function document(): Promise<Api> {
  return await (await testApp().app.request("/openapi.json")).json();
}

/** Paths of pages and their files: for browsers, not for programs. */
const isPage = (path: string) =>
  /^\/(reference|openapi\.json|assets|pages|static|playground|programs|favicon)?(\/|$|\.)/.test(path);

Deno.test("every route that is mounted is in the document", async () => {
  const { paths } = await document();
  const { app } = testApp();
  const mounted = app.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) =>
    [method.toLowerCase(), path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")] as const
  );
  for (const [method, path] of mounted) {
    if (!isPage(path)) assert(paths[path]?.[method], `${method} ${path} is not described`);
  }
  const parts = [
    "/generate",
    "/v1/completions",
    "/v1/models",
    "/v1/training/jobs",
    "/v1/programs",
    "/metrics",
  ];
  for (const part of parts) assert(paths[part], `${part} is not mounted`);
});

Deno.test("every operation says what it does, of which part it is, and names all of its path's parameters", async () => {
  const { openapi, paths } = await document();
  assertEquals(openapi, "3.1.0");
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { summary, tags, parameters = [], responses }] of Object.entries(operations)) {
      const name = `${method} ${path}`;
      assert(summary, `${name} has no summary`);
      assert(tags?.length === 1, `${name} has no tag`);
      assert(Object.values(responses).every(({ description }) => description !== ""), name);
      const named = parameters.filter((one) => one.in === "path").map((one) => one.name);
      assertEquals(
        named.toSorted(),
        Array.from(path.matchAll(/\{(\w+)\}/g), ([, one]) => one).toSorted(),
        name,
      );
    }
  }
});

Deno.test("every schema that is referred to exists", async () => {
  const text = JSON.stringify(await document());
  const api = JSON.parse(text);
  for (const [, kind, name] of text.matchAll(/"#\/components\/(\w+)\/([^"]+)"/g)) {
    assert(api.components[kind]?.[name], `${kind}/${name}`);
  }
});

Deno.test("the reference page loads nothing from elsewhere and runs nothing inline", async () => {
  const { app } = testApp();
  for (const path of ["/reference", "/reference/page.js", "/reference/page.css"]) {
    const response = await app.request(path);
    assertEquals(response.status, 200);
    const text = await response.text();
    assertFalse(/https?:\/\/(?!\$)/.test(text.replaceAll("http://www.w3.org/", "")), path);
    assertFalse(/<script>|\sstyle=|\son\w+=|innerHTML/.test(text), path);
  }
});

Deno.test({
  name: "in a browser the reference shows every operation, finds them by text, and unfolds by keyboard",
  ignore: !BROWSER,
  fn: async () => {
    const operations = Object.values((await document()).paths).flatMap((methods) => Object.keys(methods));
    await onPort(testApp(), async ({ origin }) => {
      await withPage(origin, async (page) => {
        await page.goto("/reference");
        await page.locator("details").first().waitFor();
        assertEquals(await page.locator("details").count(), operations.length);
        await page.getByRole("searchbox").fill("/generate");
        assertEquals(await page.locator("details:visible").count(), 1);
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await page.getByText("maxTokens", { exact: true }).first().waitFor();
      });
    });
    await closeBrowser();
  },
});
