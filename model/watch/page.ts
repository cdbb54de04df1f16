/**
 * The page of what a run learned, as one file.
 *
 * @module
 */
import { inlinePage } from "../inline_page.ts";
import type { PageData } from "./page/wire.d.ts";

/** The page's HTML. */
export function renderPage(data: PageData): string {
  const folder = new URL("page/", import.meta.url);
  return inlinePage({ folder, prefix: "watch/", title: `Watch it learn · ${data.name}`, data });
}
