/**
 * The files of the pages as they are served.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import type { ProgramReport } from "../../../compiler/mod.ts";
import { createApp } from "../../../server/app.ts";
import { readPageFiles } from "../../../server/pages/files.ts";
import type * as wire from "../../../server/pages/browser/wire.d.ts";
import type * as services from "../../../server/services.ts";
import { PRESET_NAMES } from "../../../model/config.ts";
import { JOB_DATA, jobConfigSchema } from "../../../server/training/schemas.ts";
import { generateSchema } from "../../../server/generation/schemas.ts";
import { fakeServices } from "../fakes.ts";

const app = createApp(fakeServices());
const files = readPageFiles();
const texts = Array.from(files, ([path, { bytes }]) => [path, new TextDecoder().decode(bytes)] as const);

Deno.test("each file has the type that browsers want, and rules that keep others out", async () => {
  for (
    const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/playground", "text/html; charset=utf-8"],
      ["/programs", "text/html; charset=utf-8"],
      ["/pages/shared/base.css", "text/css; charset=utf-8"],
      ["/pages/dashboard/main.js", "text/javascript; charset=utf-8"],
      ["/pages/vendor/uplot.js", "text/javascript; charset=utf-8"],
      ["/pages/icon.svg", "image/svg+xml"],
    ]
  ) {
    const { status, headers } = await app.request(path);
    assertEquals([status, headers.get("Content-Type")], [200, type], path);
    assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
    assertMatch(headers.get("Content-Security-Policy") ?? "", /script-src 'self';/);
    assertEquals(headers.get("Cache-Control"), "no-cache");
  }
});

Deno.test("a browser that has a file is not sent it again", async () => {
  const etag = (await app.request("/pages/shared/base.css")).headers.get("ETag") ?? "";
  for (const [known, status] of [[etag, 304], [`"other", W/${etag}`, 304], ['"other"', 200]] as const) {
    const response = await app.request("/pages/shared/base.css", { headers: { "If-None-Match": known } });
    assertEquals(response.status, status, known);
    assertEquals(await response.text() === "", status === 304);
  }
});

Deno.test("only the pages' own files are served, whatever a path says", async () => {
  for (
    const path of [
      "/pages/",
      "/pages/deno.json",
      "/pages/wire.d.ts",
      "/pages/../routes.ts",
      "/pages/%2e%2e/routes.ts",
    ]
  ) assertEquals((await app.request(path)).status, 404, path);
});

Deno.test("pages have no script or style of their own text, which the browser would refuse", () => {
  for (const [path, text] of texts.filter(([, text]) => text.startsWith("<!doctype"))) {
    assertNotMatch(text, /<style|\sstyle=|\son\w+=|<script(?![^>]* src=)/i, path);
    assertMatch(text, /<html lang="en">/, path);
  }
});

Deno.test("whatever a page or module names is there, and nothing is named elsewhere", () => {
  for (const [path, text] of texts) {
    const base = `http://localhost${path}`;
    const named = path.endsWith(".js")
      ? text.matchAll(/\bfrom "([^"]+)";$/gm)
      : text.matchAll(/(?:href|src)="([^"#]+)"/g);
    for (const [, name] of named) {
      const { pathname, host } = new URL(name, base);
      assertEquals(host, "localhost", `${path} names ${name}`);
      assert(files.has(pathname) || pathname === "/reference", `${path} names ${name}, which is not there`);
    }
  }
});

Deno.test("the form of a job offers every field that a job can have, and no other", async () => {
  const form = await Deno.readTextFile(new URL("dashboard/new_job.js", BROWSER_FILES));
  const named = Array.from(form.matchAll(/new Field\("(\w+)"/g), ([, name]) => name);
  assertEquals(named.sort(), Object.keys(jobConfigSchema.shape).sort());
  for (const choice of [...PRESET_NAMES, ...JOB_DATA]) assert(form.includes(`"${choice}"`), choice);
});

Deno.test("the playground offers every option of sampling", async () => {
  const form = await Deno.readTextFile(new URL("playground/options.js", BROWSER_FILES));
  const named = Array.from(form.matchAll(/new Field\("(\w+)"/g), ([, name]) => name);
  const elsewhere = ["model", "prompt", "tokens", "echo", "stream", "deadlineMs"];
  assertEquals(
    named.sort(),
    Object.keys(generateSchema.shape).filter((name) => !elsewhere.includes(name)).sort(),
  );
});

const BROWSER_FILES = new URL("../../../server/pages/browser/", import.meta.url);

/** Compiles only while what the server sends is what the pages expect. */
export function expectedOf(
  job: services.Job,
  event: services.JobEvent,
  step: services.StepMetrics,
  checkpoint: services.JobCheckpoint,
  program: services.ProgramSummary,
  report: ProgramReport,
): [
  wire.Job,
  wire.JobEvent,
  wire.StepMetrics,
  wire.JobCheckpoint,
  wire.ProgramSummary,
  wire.ProgramReport,
] {
  return [job, event, step, checkpoint, program, report];
}
