/**
 * The page as one file that needs nothing else: style, modules and data are put into the template. Modules stay modules; an
 * import map gives each its name, since a file that was opened from a disk may not import another one.
 *
 * @module
 */
import { encodeBase64 } from "@std/encoding";
import type { PageData } from "./page/wire.d.ts";

const FOLDER = new URL("page/", import.meta.url);
const PREFIX = "watch/";

/** The page's HTML. */
export function renderPage(data: PageData): string {
  const parts: Readonly<Record<string, string>> = {
    title: `<title>${escapeText(`Watch it learn · ${data.name}`)}</title>`,
    style: `<style>\n${readText("style.css")}</style>`,
    modules: `<script type="importmap">${JSON.stringify({ imports: modules() })}</script>`,
    // A text of the model must not end the script that holds it.
    data: `<script type="application/json" id="data">${
      JSON.stringify(data).replaceAll("<", "\\u003c")
    }</script>`,
    main: `<script type="module">import "${PREFIX}main.js";</script>`,
  };
  return readText("page.html").replace(/<!-- (\w+) -->/g, (_, name: string) => parts[name]);
}

/** Every module by the name that the others know it by. */
function modules(): Record<string, string> {
  const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith(".js"));
  return Object.fromEntries(
    names.sort().map((name) => {
      const text = readText(name).replace(/from "\.\/([\w.]+)"/g, `from "${PREFIX}$1"`);
      return [PREFIX + name, `data:text/javascript;base64,${encodeBase64(text)}`];
    }),
  );
}

function readText(name: string): string {
  return Deno.readTextFileSync(new URL(name, FOLDER));
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
