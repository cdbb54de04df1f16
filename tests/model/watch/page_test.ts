/**
 * The page: it says what was seen, needs nothing from anywhere, and works in a browser.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { toFileUrl } from "@std/path";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import { SCORES, weightOf } from "../../../model/watch/observation.ts";
import { renderPage } from "../../../model/watch/page.ts";
import { pageData, tokenText } from "../../../model/watch/page_data.ts";
import { type Frames, mainPattern, openFrames } from "../../../model/watch/page/frames.js";
import type { PageData } from "../../../model/watch/page/wire.d.ts";
import { BROWSER, closeBrowser, withPage } from "../../server/pages/browser.ts";
import { withFolder } from "../command.ts";
import { MODEL, PROMPT, watched } from "./watched.ts";

Deno.test("the page's own code reads the numbers that were packed for it", async () => {
  const { frames } = watched(3);
  const page: Frames = await openFrames(await pageData(watched(3)));
  assertEquals([page.length, page.size, page.heads], [3, PROMPT.length, 6]);
  const { observation } = frames[2];
  const K = observation.topTokens.length / PROMPT.length;
  for (let head = 0; head < page.heads; head++) {
    SCORES.forEach((name, i) =>
      assertAlmostEquals(page.score(2, head, name), observation.scores[head * SCORES.length + i], 0.0021)
    );
    for (let row = 0; row < page.size; row++) {
      let sum = 0;
      for (let column = 0; column <= row; column++) sum += page.weight(2, head, row, column);
      assertAlmostEquals(sum, 1, 0.05);
    }
  }
  assertEquals(page.weight(2, 5, 1, 1), weightOf(observation.attention[5 * page.entries + 2]));
  const top = page.top(2, 4);
  assertEquals(top.map(({ token }) => token), [...observation.topTokens.subarray(4 * K, 5 * K)]);
  assertAlmostEquals(Math.log(top[1].probability), observation.topLogprobs[4 * K + 1], 6e-4);
  assertAlmostEquals(Math.log(page.next(2, 3)!), observation.logprobs[3], 6e-4);
  assertEquals(page.next(2, page.size - 1), undefined);
  assert(mainPattern(page, 2, 1).score <= 1);
});

Deno.test("a page is one file that loads nothing, and its texts cannot end its scripts", async () => {
  const html = renderPage(await pageData(watched(2)));
  const itself = html.replace(/data:text\/javascript;base64,[\w+/=]+/g, "")
    .replace(/<script type="application\/json" id="data">.*?<\/script>/s, "");
  assertEquals(itself.match(/https?:|\/\/\w|@import|url\(|\bsrc=|<!-- /g), null);
  const modules = [...html.matchAll(/data:text\/javascript;base64,([\w+/=]+)/g)].map(([, text]) =>
    atob(text)
  );
  assert(modules.length > 5);
  for (const text of modules) {
    assertEquals(text.match(/from "\.|fetch\(|import\(|XMLHttpRequest/g), null);
    assertEquals(text.replace("http://www.w3.org/2000/svg", "").match(/https?:/g), null);
  }
  assertEquals(html.match(/<\/script>/g)?.length, 3);
  assertStringIncludes(html, "a &lt;b>run&lt;/b>");
  const [, json] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)!;
  const data: PageData = JSON.parse(json);
  assertEquals(data.prompt.map((token) => data.texts[token]).join(""), "a </script>\n& b");
});

Deno.test("losses are thinned to what a chart shows, keep their course, and count once for each step", async () => {
  const run = watched(500);
  const again = { event: "step", step: 0, loss: 9 };
  const lines = [...run.metrics, again, { event: "validation", step: 7, valLoss: 4 }, {
    event: "step",
    step: 1e6,
    loss: null,
  }];
  const { loss } = await pageData({ ...run, frames: run.frames.slice(0, 1), metrics: lines });
  assert(loss.train.length <= 800 && loss.train.length > 400);
  assertEquals(loss.validation, [[7, 4]]);
  assertAlmostEquals(loss.train.at(-1)![1], 5 - Math.log1p(4996), 1e-3);
  const few = await pageData({
    ...run,
    frames: run.frames.slice(0, 1),
    metrics: [...run.metrics.slice(0, 3), again],
  });
  assertEquals(few.loss.train[0], [0, 9]);
});

Deno.test("a token that is a part of a character shows its bytes", () => {
  assertEquals([0xc3, 65, 10].map((token) => tokenText(byteTokenizer(), token)), ["\\xc3", "A", "\n"]);
});

Deno.test({
  name: "in a browser: keys and clicks go through steps and heads, and nothing is requested",
  ignore: !BROWSER,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/watch.html`;
      await Deno.writeTextFile(path, renderPage(await pageData(watched(5))));
      const url = toFileUrl(path);
      await withPage(url.origin, async (page) => {
        await page.goto(url.href);
        await page.locator("html[data-ready]").waitFor();
        const now = page.locator("#now");
        assertMatch(await now.innerText(), /step 40 of 40 · loss/);
        await page.keyboard.press("ArrowLeft");
        assertMatch(await now.innerText(), /step 30/);
        await page.keyboard.press("Home");
        assertMatch(await now.innerText(), /step 0 of/);
        await page.keyboard.press("Space");
        await page.getByRole("button", { name: "Pause" }).waitFor();
        await page.getByRole("button", { name: "Play" }).waitFor();
        assertMatch(await now.innerText(), /step 40/);
        await page.getByRole("button", { name: "Layer 1, head 2" }).click();
        await page.getByRole("heading", { name: "Layer 1, head 2" }).waitFor();
        await page.keyboard.press("[");
        await page.getByRole("heading", { name: "Layer 1, head 1" }).waitFor();
        await page.locator(".token").nth(2).click();
        assertMatch(await page.locator("#detail").innerText(), /After “<” \(2\)/);
        const canvas = page.locator("#large canvas");
        const { width, height } = (await canvas.boundingBox())!;
        await canvas.hover({ position: { x: width * 0.2, y: height * 0.9 } });
        assertMatch(await page.locator("#large .readout").innerText(), /looks at .*: [\d.<]+ /);
        assertEquals(await page.locator(".head").count(), MODEL.layers * MODEL.heads);
        for (const width of [360, 1280]) {
          await page.setViewportSize({ width, height: 800 });
          await page.waitForTimeout(100);
          const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
          assertEquals(await page.evaluate(overflow), 0, `${width}`);
        }
      });
      await closeBrowser();
    });
  },
});
