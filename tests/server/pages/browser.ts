/**
 * A real browser for tests of the pages: Debian's chromium, driven by Playwright. Every page is watched: nothing may be
 * written to its console as an error, and no request may leave the server that it came from.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Where chromium may be. */
const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const SCREENSHOTS = fromFileUrl(new URL("../../../.cache/screenshots/", import.meta.url));

/** Path of a browser; undefined when there is none, which is said once. */
export const BROWSER = PATHS.find(isFile);

if (!BROWSER) console.log(`no browser at ${PATHS.join(", ")}: tests of pages in a browser are skipped`);

let browser: Promise<Browser> | undefined;

/** What a page's console may say besides, such as of an expected refusal. */
export interface PageOptions extends BrowserContextOptions {
  readonly mayLog?: RegExp;
}

/** Runs a test with a page of its own. */
export async function withPage(
  url: string,
  test: (page: Page) => Promise<void>,
  options: PageOptions = {},
): Promise<void> {
  const { mayLog, ...context } = options;
  browser ??= chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
  const page = await (await browser).newPage({
    viewport: { width: 1280, height: 900 },
    baseURL: url,
    ...context,
  });
  const problems: string[] = [];
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !mayLog?.test(text)) {
      problems.push(`console: ${text} (${message.location().url})`);
    }
  });
  page.on("pageerror", ({ message }) => problems.push(`exception: ${message}`));
  page.on("request", (request) => {
    const target = new URL(request.url());
    const isOwn = target.origin === url || ["data:", "blob:"].includes(target.protocol);
    if (!isOwn) problems.push(`request to ${target}`);
  });
  try {
    await test(page);
  } finally {
    await page.context().close();
  }
  assertEquals(problems, []);
}

/** Ends the browser. */
export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

/** Keeps what the page looks like, for people. */
export async function screenshot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
