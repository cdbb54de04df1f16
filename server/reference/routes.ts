/**
 * `/openapi.json`, and `/reference`, a page that shows it and needs nothing from elsewhere.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { fileResponse } from "../http/static_files.ts";
import type { OpenApiDocument } from "./document.ts";

/** Files of the page, by path. */
const FILES: Readonly<Record<string, string>> = {
  "/reference": "page.html",
  "/reference/page.css": "page.css",
  "/reference/page.js": "page.js",
};

/** Routes of the reference. */
export function referenceRoutes(document: () => OpenApiDocument): OpenAPIHono {
  const routes = new OpenAPIHono();
  routes.get("/openapi.json", (context) => context.json(document()));
  for (const [path, file] of Object.entries(FILES)) {
    const url = new URL(file, import.meta.url);
    routes.get(path, () => fileResponse(url));
  }
  return routes;
}
