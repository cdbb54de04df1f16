/**
 * Files that the server brings along, such as scripts of pages. Each is named here by the program: no path out of a
 * request is ever opened.
 *
 * @module
 */

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** Answers with a file next to the program; browsers ask again each time whether it is still the same. */
export async function fileResponse(url: URL): Promise<Response> {
  const type = TYPES[url.pathname.split(".").at(-1) ?? ""] ?? "application/octet-stream";
  return new Response(await Deno.readFile(url), {
    headers: { "Content-Type": type, "Cache-Control": "no-cache" },
  });
}
