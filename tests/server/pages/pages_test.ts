/**
 * The pages in a real browser, against a server whose jobs learn without a device.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import type { Page } from "playwright-core";
import { Access } from "../../../server/http/access.ts";
import { BROWSER, closeBrowser, type PageOptions, screenshot, withPage } from "./browser.ts";
import { type Site, type SiteOptions, withSite } from "./site.ts";

/** A test in a browser; one browser serves all, so what it has open at the end of a test is no leak. */
function inBrowser(
  name: string,
  test: (page: Page, site: Site) => Promise<void>,
  { page: pageOptions, ...siteOptions }: SiteOptions & { page?: PageOptions } = {},
): void {
  Deno.test({
    name,
    ignore: !BROWSER,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => withSite((site) => withPage(site.url, (page) => test(page, site), pageOptions), siteOptions),
  });
}

Deno.test.afterAll(closeBrowser);

/** Fills the form of a new job and sends it. */
async function startJob(page: Page, name: string, fields: Record<string, string> = {}): Promise<void> {
  await page.getByRole("button", { name: "New job" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Name").fill(name);
  for (const [label, value] of Object.entries(fields)) {
    await form.getByLabel(label, { exact: true }).fill(value);
  }
  await form.getByRole("button", { name: "Start" }).click();
}

/** Waits until something is so; a page's own rules forbid Playwright to wait in it. */
async function until(test: () => Promise<boolean>): Promise<void> {
  while (!await test()) await delay(20);
}

/** The loss that the page shows for the job. */
async function lossOf(page: Page): Promise<number> {
  return Number(await page.locator(".facts dd").nth(1).textContent());
}

inBrowser("a job is started, its loss moves, it is paused, goes on, saves and ends", async (page, site) => {
  await page.goto("/");
  await page.getByRole("heading", { name: "No training jobs yet" }).waitFor();
  await screenshot(page, "dashboard-empty");
  await startJob(page, "whale", { Steps: "300" });
  const badge = page.locator(".job-title .badge");
  await page.locator(".job-title", { hasText: "running" }).waitFor();
  await until(async () => await lossOf(page) < 4.5);
  const early = await lossOf(page);
  await until(async () => await lossOf(page) < early - 0.5);
  assertEquals(await page.locator(".chart canvas").count(), 4);
  await screenshot(page, "dashboard-running");

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assertEquals(await badge.textContent(), "paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator(".job-title", { hasText: "running" }).waitFor();
  await page.getByLabel("Prompt of a sample").fill("There she blows");
  await page.getByRole("button", { name: "Sample" }).click();
  await page.locator(".samples", { hasText: "There she blows the white whale" }).waitFor();
  await page.getByRole("button", { name: "Save checkpoint" }).click();
  await page.getByRole("status").filter({ hasText: "is saved" }).waitFor();

  site.release();
  await page.locator(".job-title", { hasText: "finished" }).waitFor();
  const rows = page.getByRole("region", { name: "Checkpoints" }).locator("tbody tr");
  await rows.filter({ hasText: "300" }).waitFor();
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    rows.filter({ hasText: "300" }).getByRole("button", { name: "model.safetensors" }).click(),
  ]);
  assertEquals(file.suggestedFilename(), "whale-300-model.safetensors");
  assertEquals(await Deno.readTextFile(await file.path()), "weights of step 300");
  await page.locator(".kernel-times", { hasText: "linearCrossEntropy_41" }).waitFor();
  await screenshot(page, "dashboard-finished");
  await page.reload();
  await page.locator(".facts dd", { hasText: "300 / 300" }).waitFor();
  await page.getByRole("figure", { name: /^Loss at step 300: training 1/ }).waitFor();
}, { holdAt: 200 });

inBrowser("kernels of a job are listed by time and lead to their texts", async (page) => {
  await page.goto("/");
  await startJob(page, "first", { Steps: "30" });
  const times = page.getByRole("region", { name: "Kernel times" });
  const dearest = times.getByRole("link").first();
  const name = await dearest.innerText();
  assertMatch(await times.locator("li").first().innerText(), / [mµ]s( in \d+ launches)? · [\d.]+ %/);
  await dearest.click();
  await page.getByRole("region", { name: "Kernel" }).getByRole("heading", { name }).waitFor();
});

inBrowser("a second job waits, says its place, and can be cancelled", async (page) => {
  await page.goto("/");
  await startJob(page, "first");
  await page.locator(".job-title", { hasText: "running" }).waitFor();
  await startJob(page, "second");
  await page.locator(".job-title", { hasText: "number 1 in the queue" }).waitFor();
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.locator(".job-title", { hasText: "cancelled" }).waitFor();
  assertEquals(await page.locator(".job-row").count(), 2);
}, { holdAt: 50 });

inBrowser("what the server objects to is said at the field, and the form stays", async (page) => {
  await page.goto("/");
  await startJob(page, "no spaces please");
  const wrong = page.getByRole("dialog").getByRole("alert").filter({ hasText: "letters, digits" });
  await wrong.waitFor();
  assertEquals(await page.getByLabel("Name").getAttribute("aria-invalid"), "true");
  assertEquals(await page.evaluate("document.activeElement.name"), "name");
}, { page: { mayLog: /400/ } });

inBrowser(
  "a dropped connection is made again from where it was, and no step is missing",
  async (page, site) => {
    const asked: number[] = [];
    page.on("request", async (request) => {
      if (request.url().endsWith("/events")) asked.push(Number(await request.headerValue("Last-Event-ID")));
    });
    await page.goto("/");
    await startJob(page, "steady", { Steps: "200" });
    await page.locator(".facts dd", { hasText: "80 / 200" }).waitFor();
    site.cut();
    await page.getByText("reconnecting").waitFor();
    site.release();
    await page.locator(".facts dd", { hasText: "200 / 200" }).waitFor();
    await page.locator(".job-title", { hasText: "finished" }).waitFor();
    await page.getByLabel("with steps").check();
    const lines = await page.locator(".log li.step").allTextContents();
    const steps = lines.map((line) => Number(/step (\d+):/.exec(line)?.[1]));
    assertEquals(steps, Array.from({ length: 200 }, (_, i) => i + 1));
    assertEquals(asked[0], 0);
    assert(asked[1] > 80, `asked for events after ${asked}`);
  },
  { holdAt: 80, page: { mayLog: /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION/ } },
);

inBrowser("a text streams in, can be stopped, and its tokens can be looked at", async (page) => {
  await page.goto("/playground");
  await page.getByLabel("Prompt").fill("Call me");
  await page.getByLabel("Tokens", { exact: true }).fill("60");
  await page.getByLabel("Log-probabilities").fill("3");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.locator(".token").nth(5).waitFor();
  assert(await page.locator(".token").count() < 60, "the text came all at once");
  await page.getByText("all tokens drawn").waitFor();
  assertEquals(await page.locator(".token").count(), 60);
  await page.locator(".token").nth(3).hover();
  await page.locator("#token-detail tr").nth(2).waitFor();
  assertMatch(await page.locator("#token-detail").innerText(), /60\.7 %/);
  await screenshot(page, "playground");

  await page.getByLabel("Tokens", { exact: true }).fill("2000");
  await page.getByLabel("Log-probabilities").fill("");
  await page.getByLabel("Prompt").fill("C");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.locator(".text", { hasText: "Ishmael" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("stopped", { exact: true }).waitFor();
  await page.locator("#status", { hasText: "generating 0/8" }).waitFor();
});

inBrowser("a refused option is said at its field", async (page) => {
  await page.goto("/playground");
  await page.getByLabel("Prompt").fill("Call me");
  await page.getByLabel("Top-p").fill("3");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByRole("alert").filter({ hasText: "topP" }).waitFor();
  assertEquals(await page.getByLabel("Top-p").getAttribute("aria-invalid"), "true");
}, { page: { mayLog: /400/ } });

inBrowser("a kernel is opened from the graph, with WGSL, Kernel IR and reasons", async (page) => {
  await page.goto("/programs");
  await page.getByRole("link", { name: "nano_step" }).click();
  await page.locator(".node").nth(8).click();
  const kernel = page.getByRole("region", { name: "Kernel" });
  await kernel.locator(".code .c-attribute").first().waitFor();
  assertMatch(await kernel.getByRole("tabpanel").innerText(), /@compute @workgroup_size/);
  assertMatch(await kernel.innerText(), /launch 9 of/);
  await kernel.getByRole("tab", { name: "Kernel IR" }).click();
  assert(!(await kernel.getByRole("tabpanel").innerText()).includes("@compute"));
  await kernel.getByRole("tab", { name: "Ops and reasons" }).click();
  assertMatch(await kernel.getByRole("tabpanel").innerText(), /%\d+: f32\[/);
  await screenshot(page, "program");
  await page.getByRole("tab", { name: "Groups" }).click();
  assertMatch(await page.locator(".stage").innerText(), /because:/);
  await page.reload();
  await kernel.getByText("launch 9 of").waitFor();
});

inBrowser("everything can be done with the keyboard alone", async (page) => {
  const { keyboard } = page;
  await page.goto("/");
  await page.getByText("Start a first job").waitFor();
  await keyboard.press("Tab");
  assertEquals(await page.evaluate("document.activeElement.textContent"), "Skip to the content");
  await keyboard.press("Enter");
  await keyboard.press("Tab");
  assertEquals(await page.evaluate("document.activeElement.id"), "new-job");
  await keyboard.press("Enter");
  await keyboard.type("keys");
  await keyboard.press("Enter");
  await page.locator(".job-title", { hasText: "running" }).waitFor();
  await page.getByRole("button", { name: "Pause" }).focus();
  await keyboard.press("Enter");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assertEquals(await page.evaluate("document.activeElement.textContent"), "Resume");
  await page.getByRole("button", { name: "New job" }).focus();
  await keyboard.press("Enter");
  await keyboard.press("Escape");
  assertEquals(await page.getByRole("dialog").count(), 0);

  await page.goto("/playground");
  await page.getByLabel("Prompt").focus();
  await keyboard.type("Call me");
  await keyboard.press("Control+Enter");
  await page.locator(".text", { hasText: "Ishmael" }).waitFor();
  await keyboard.press("Escape");
  await page.getByText("stopped", { exact: true }).waitFor();

  await page.goto("/programs");
  await page.getByRole("link", { name: "nano_step" }).focus();
  await keyboard.press("Enter");
  await page.locator(".graph-scroll").focus();
  await keyboard.press("ArrowDown");
  await keyboard.press("ArrowDown");
  const kernel = page.getByRole("region", { name: "Kernel" });
  await kernel.getByText("launch 2 of").waitFor();
  await keyboard.press("Enter");
  assertEquals(await page.evaluate("document.activeElement.className"), "kernel panel");
  await keyboard.press("Escape");
  assertEquals(await page.evaluate("document.activeElement.className"), "graph-scroll");
}, { holdAt: 50 });

inBrowser("colours stay as they were chosen, on every page", async (page) => {
  const ground = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
  await page.goto("/");
  const light = await ground();
  await page.getByRole("button", { name: "Automatic colours" }).click();
  await page.getByRole("button", { name: "Light colours" }).click();
  const dark = await ground();
  assert(light !== dark);
  await page.goto("/playground");
  assertEquals(await ground(), dark);
  await page.getByRole("button", { name: "Dark colours" }).click();
  assertEquals(await ground(), light);
}, { page: { colorScheme: "light" } });

inBrowser("an address of a job that is not there says so", async (page) => {
  await page.goto("/#job=nobody");
  await page.getByRole("alert").filter({ hasText: "nobody" }).waitFor();
}, { page: { mayLog: /404/ } });

inBrowser("a server with tokens is asked with the one that the user gives, once", async (page) => {
  await page.goto("/");
  const dialog = page.getByRole("dialog", { name: "Token" });
  await dialog.getByLabel("Token").fill("wrong");
  await dialog.getByRole("button", { name: "Use it" }).click();
  await dialog.getByText("is not the server's").waitFor();
  await screenshot(page, "token");
  await dialog.getByLabel("Token").fill("a".repeat(20));
  await keyboardEnter(page);
  await page.getByRole("heading", { name: "No training jobs yet" }).waitFor();
  await startJob(page, "guarded", { Steps: "120" });
  await page.locator(".job-title", { hasText: "running" }).waitFor();
  await until(async () => await lossOf(page) < 5);
  await page.reload();
  await page.locator(".job-row", { hasText: "guarded" }).waitFor();
  assertEquals(await dialog.count(), 0);
}, {
  access: new Access({ generation: "g".repeat(20), admin: "a".repeat(20) }),
  page: { mayLog: /401|403/ },
});

const keyboardEnter = (page: Page) => page.keyboard.press("Enter");

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [360, 1280]) {
    inBrowser(
      `pages fit a width of ${width} in ${colorScheme} colours, with text that can be read`,
      async (page) => {
        await page.goto("/");
        await startJob(page, "fit", { Steps: "50" });
        await page.locator(".job-title", { hasText: "finished" }).waitFor();
        for (const path of ["/", "/playground", "/programs"]) {
          await page.goto(path);
          await page.waitForTimeout(200);
          const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
          assertEquals(await page.evaluate(overflow), 0, path);
          assertEquals(await page.evaluate(FAINT_TEXTS), [], path);
          await screenshot(page, `${path.slice(1) || "dashboard"}-${colorScheme}-${width}`);
        }
      },
      { page: { colorScheme, viewport: { width, height: 800 } } },
    );
  }
}

/** Texts with less contrast to their ground than WCAG 2.2 wants (4.5:1), and how much they have. */
const FAINT_TEXTS = `(() => {
  const parse = (text) => {
    const canvas = parse.canvas ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (rgb) => [0, 1, 2].map((i) => rgb[i] / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const ground = parse(getComputedStyle(at).backgroundColor);
      if (ground[3] === 255) return ground;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!hasText || element.closest(":disabled, svg, option, [hidden], .skip") || !element.checkVisibility()) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(groundOf(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(element.className + ": " + element.textContent.slice(0, 30) + " " + contrast.toFixed(2));
  }
  return faint;
})()`;
