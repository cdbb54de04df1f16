/**
 * `deno task inspect --html FILE`: a program as one page that needs no network.
 *
 * @module
 */
import type { Compilation } from "../../compiler/mod.ts";
import { removeIfThere, writeDurably } from "../durable_files.ts";
import { inlinePage } from "../inline_page.ts";
import { writeAll } from "../safetensors.ts";
import { pageData, type PageFacts } from "./page_data.ts";

/**
 * Writes the page.
 *
 * @returns Its size in bytes.
 */
export async function writeInspectorPage(
  compilation: Compilation,
  facts: PageFacts,
  path: string,
): Promise<number> {
  const html = inlinePage({
    folder: new URL("page/", import.meta.url),
    others: [new URL("../watch/page/dom.js", import.meta.url)],
    prefix: "inspect/",
    title: `Inspect · ${facts.name}`,
    data: await pageData(compilation, facts),
  });
  const bytes = new TextEncoder().encode(html);
  const temporary = `${path}.tmp-${Deno.pid}`;
  await removeIfThere(temporary);
  await writeDurably(temporary, (file) => writeAll(file, bytes));
  await Deno.rename(temporary, path);
  return bytes.length;
}
