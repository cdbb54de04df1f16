/**
 * The pages: dashboard, playground and program viewer. They are public, hold no data, and call the API of the same server
 * with the token that they ask for.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { type PageFile, readPageFiles } from "./files.ts";

/** The files of all pages as one route, so that metrics do not count each by itself. */
const ASSETS = "/pages/:file{.+}";

/** Routes of the pages' files. Reads them. */
export function pageRoutes(): OpenAPIHono {
  const files = readPageFiles();
  const pages = [...files.keys()].filter((path) => !path.startsWith("/pages/"));
  const routes = new OpenAPIHono();
  for (const path of [...pages, ASSETS]) {
    routes.get(path, (context) => {
      const file = files.get(context.req.path);
      return file ? fileResponse(file, context.req.header("If-None-Match")) : context.notFound();
    });
  }
  return routes;
}

/** The file, or word that the browser has it already. It asks each time, so that a newer server's pages fit together. */
function fileResponse({ type, bytes, etag }: PageFile, known: string | undefined): Response {
  const headers = { "Content-Type": type, "Cache-Control": "no-cache", "ETag": etag };
  const isKnown = known?.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
  return isKnown ? new Response(null, { status: 304, headers }) : new Response(bytes, { headers });
}
