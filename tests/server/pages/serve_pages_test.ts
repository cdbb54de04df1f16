/**
 * The pages against a real server: a job that trains on this machine's adapter, a text from its model, its kernels.
 *
 * @module
 */
import { assert, assertMatch } from "@std/assert";
import { LineReader, start, withFolder } from "../../model/command.ts";
import { BROWSER, closeBrowser, screenshot, withPage } from "./browser.ts";

/** A model that trains in seconds on any adapter, by the labels of the form. */
const TINY = {
  "Steps": "60",
  "Sequences at once": "2",
  "Blocks": "1",
  "Channels": "64",
  "Attention heads": "2",
  "Context, tokens": "32",
  "Steps between samples": "20",
  "Steps between validations": "20",
};

Deno.test({
  name: "a newcomer trains a model, asks it for text and opens one of its kernels, on a real server",
  ignore: !BROWSER,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    withFolder(async (folder) => {
      const process = start("serve", ["--port=0", `--runs=${folder}`]);
      const screen = new LineReader(process.stdout);
      const log = new Response(process.stderr).text();
      try {
        const url = (await screen.until("listens at"))?.match(/http:\S+/)?.[0];
        if (!url) throw new Error("the server did not come up");
        await visit(url);
      } finally {
        process.kill("SIGTERM");
        await screen.rest();
        await process.status;
        await closeBrowser();
      }
      assert(!(await log).includes("error:"), await log);
    }),
});

async function visit(url: string): Promise<void> {
  await withPage(url, async (page) => {
    page.setDefaultTimeout(120_000);
    await page.goto("/");
    await page.getByRole("button", { name: "Start a first job" }).click();
    const form = page.getByRole("dialog");
    await form.getByLabel("Name").fill("tiny");
    await form.getByText("More options").click();
    for (const [label, value] of Object.entries(TINY)) {
      await form.getByLabel(label, { exact: true }).fill(value);
    }
    await form.getByRole("button", { name: "Start" }).click();
    await page.locator(".job-title", { hasText: "finished" }).waitFor();
    await page.getByRole("figure", { name: /^Loss at step 60: training [1-9].*, validation [1-9]/ })
      .waitFor();
    await page.locator(".samples li").first().waitFor();
    await page.getByRole("region", { name: "Checkpoints" }).getByText("model.safetensors").first().waitFor();
    await screenshot(page, "real-dashboard");

    await page.getByRole("link", { name: "Try the model" }).click();
    await page.getByLabel("Prompt").fill("Call me");
    await page.getByLabel("Tokens", { exact: true }).fill("24");
    await page.getByLabel("Log-probabilities").fill("3");
    await page.getByRole("button", { name: "Generate" }).click();
    await page.getByText("all tokens drawn").waitFor();
    await page.locator(".token").first().hover();
    assertMatch(await page.locator("#token-detail").innerText(), /%/);
    await screenshot(page, "real-playground");

    await page.goto("/programs");
    await page.locator("tbody tr", { hasText: "tiny" }).first().getByRole("link").click();
    await page.locator(".node").first().click();
    await page.getByRole("region", { name: "Kernel" }).getByText("@compute").waitFor();
    await screenshot(page, "real-program");
  });
}
