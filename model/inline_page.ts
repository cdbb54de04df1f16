/**
 * A page as one file that needs nothing else: style, modules and data are put into a template. Modules stay modules; an import map gives
 * each its name, since a file that was opened from a disk may not import another one.
 *
 * @module
 */
import { encodeBase64 } from "@std/encoding";
import { basename } from "@std/path";

/** What a page is made of. */
export interface PageParts {
  /** Folder of `page.html`, `style.css`, `main.js` and the modules that it imports. */
  readonly folder: URL;
  /** Modules of other folders that these import. */
  readonly others?: readonly URL[];
  /** In front of the modules' names. */
  readonly prefix: string;
  readonly title: string;
  /** Plain data, in the element `#data`. */
  readonly data: unknown;
}

/** The page's HTML: `<!-- name -->` in the template is replaced by title, style, modules, data and main. */
export function inlinePage({ folder, others = [], prefix, title, data }: PageParts): string {
  const read = (name: string) => Deno.readTextFileSync(new URL(name, folder));
  const own = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".js"));
  const modules = [...own.sort().map((name) => new URL(name, folder)), ...others];
  const imports = Object.fromEntries(modules.map((url) => {
    const text = Deno.readTextFileSync(url).replace(
      /from "\.{1,2}\/[^"]*?([\w.]+)"/g,
      (_, name: string) => `from "${prefix}${name}"`,
    );
    return [prefix + basename(url.pathname), `data:text/javascript;base64,${encodeBase64(text)}`];
  }));
  const parts: Readonly<Record<string, string>> = {
    title: `<title>${title.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</title>`,
    style: `<style>\n${read("style.css")}</style>`,
    modules: `<script type="importmap">${JSON.stringify({ imports })}</script>`,
    // A text must not end the script that holds it.
    data: `<script type="application/json" id="data">${
      JSON.stringify(data).replaceAll("<", "\\u003c")
    }</script>`,
    main: `<script type="module">import "${prefix}main.js";</script>`,
  };
  return read("page.html").replace(/<!-- (\w+) -->/g, (_, name: string) => parts[name]);
}
