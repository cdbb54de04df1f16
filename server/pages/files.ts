/**
 * The files of the pages, read once when the server starts: what is in `browser/`, and uPlot from its package. Requests
 * choose among them by name; no path out of a request is ever opened.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A file as it is sent. */
export interface PageFile {
  /** Content type. */
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Strong entity tag, quotes included. */
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Where pages are found; every other file is at `/pages/…`. */
const PAGES: Readonly<Record<string, string>> = {
  "dashboard.html": "/",
  "playground.html": "/playground",
  "programs.html": "/programs",
};

/** Files of packages, by the path that pages know them by. */
const PACKAGED: Readonly<Record<string, string>> = {
  "/pages/vendor/uplot.js": "uplot/dist/uPlot.esm.js",
  "/pages/vendor/uplot.css": "uplot/dist/uPlot.min.css",
};

/** Every file of the pages, by the path of its URL. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const root = new URL("browser/", import.meta.url);
  const files = new Map<string, PageFile>();
  for (const name of namesIn(root, "")) {
    files.set(PAGES[name] ?? `/pages/${name}`, readFile(new URL(name, root)));
  }
  for (const [path, specifier] of Object.entries(PACKAGED)) {
    files.set(path, readFile(new URL(import.meta.resolve(specifier))));
  }
  return files;
}

/** Names of the files that browsers can read, relative to the root. */
function* namesIn(folder: URL, prefix: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* namesIn(new URL(`${name}/`, folder), `${prefix}${name}/`);
    else if (extension(name) in TYPES) yield `${prefix}${name}`;
  }
}

function readFile(url: URL): PageFile {
  const bytes = Deno.readFileSync(url);
  const hash = createHash("sha256").update(bytes).digest("base64url").slice(0, 22);
  return { type: TYPES[extension(url.pathname)], bytes, etag: `"${hash}"` };
}

function extension(name: string): string {
  return name.split(".").at(-1) ?? "";
}
