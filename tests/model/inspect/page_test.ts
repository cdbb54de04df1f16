/**
 * The page of a program: what belongs together is marked together, and nothing is asked for from anywhere.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { toFileUrl } from "@std/path";
import { compileStages, LAVAPIPE } from "../../../compiler/mod.ts";
import { writeInspectorPage } from "../../../model/inspect/page.ts";
import { pageData } from "../../../model/inspect/page_data.ts";
import { tinyTrainStep } from "../../support/tiny_gpt2.ts";
import { BROWSER, closeBrowser, withPage } from "../../server/pages/browser.ts";
import { withFolder } from "../command.ts";

const compilation = compileStages(tinyTrainStep(1), LAVAPIPE, { name: "tiny" });
const FACTS = { name: "tiny_step", target: "lavapipe", mode: "fused" };

Deno.test("every launch is in the page once, every value in memory with its life, every line with its file", async () => {
  const { nodes, works, roots, memory, files } = await pageData(compilation, FACTS);
  const { program, placement } = compilation;
  assertEquals(works.reduce((sum, { launches }) => sum + launches, 0), program.dispatches.length);
  assertEquals(
    works.reduce((sum, { bytes }) => sum + bytes, 0),
    program.dispatches.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  assertEquals(roots.length, placement.lifetimes.size);
  for (const { first, last, bytes, nodes: stored } of roots) {
    assert(first <= last && last < works.length && bytes > 0);
    assert(stored.every((id) => nodes[id].stored));
  }
  assertEquals(memory.peakBytes, program.memory.peakBytes);
  for (const { site } of nodes) {
    if (site?.startsWith("model/")) assert(files[site.replace(/:\d+$/, "")], site);
  }
});

Deno.test({
  name: "in a browser: a kernel, a line and a search mark what belongs to them, and nothing is requested",
  ignore: !BROWSER,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/page.html`;
      const times = {
        ms: compilation.program.dispatches.map((_, i) => 0.1 + i / 100),
        ceilings: { bytesPerSecond: 1e10, flopsPerSecond: 1e11 },
      };
      await writeInspectorPage(compilation, { ...FACTS, times }, path);
      const url = toFileUrl(path);
      await withPage(url.origin, async (page) => {
        await page.goto(url.href);
        await page.locator("html[data-ready]").waitFor();
        const product = page.locator(".kernel", { hasText: "matmul" }).first();
        await product.click();
        assertMatch(
          await page.locator("#detail").innerText(),
          /matmul[\s\S]*begins here because[\s\S]*Kernel IR[\s\S]*@compute/,
        );
        assertMatch(await page.locator("#source .pinned").first().innerText(), /\S/);
        assert(await page.locator("#detail pre .k").count() > 3, "WGSL has no colours");
        await page.keyboard.press("Escape");
        assertEquals(await page.locator(".pinned").count(), 0);
        await page.locator("#search").fill("%20");
        assert(await page.locator("#kernels .pinned").count() > 0);
        await page.locator("#source .row.can").first().click();
        assert(await page.locator("#graph .pinned").count() > 0);
        await page.locator("#order").selectOption("ms");
        assertEquals(
          await page.locator(".kernel .figure").first().innerText(),
          `${compilation.order.length - 1}`,
        );
        for (const width of [380, 1400]) {
          await page.setViewportSize({ width, height: 900 });
          const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
          assertEquals(await page.evaluate(overflow), 0, `${width}`);
        }
      });
      await closeBrowser();
    });
  },
});
