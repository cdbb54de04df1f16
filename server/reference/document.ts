/**
 * The OpenAPI document of the whole application: the routes' own descriptions, with the token that each needs.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Role } from "../http/access.ts";
import type { ShellEnv } from "../http/context.ts";

/** Routes of one part of the server, and whose token opens them; left out: nobody's is needed. */
export interface Part {
  readonly routes: OpenAPIHono;
  readonly role?: Role;
}

/** The document, as JSON. */
export type OpenApiDocument = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

const ABOUT = `Trains GPT-2 models on this machine's WebGPU adapter and continues texts with them.

Send the token as \`Authorization: Bearer TOKEN\`: SINTER_TOKEN for generation, SINTER_ADMIN_TOKEN for everything. A \
server on 127.0.0.1 that was started without tokens needs none.

Errors have one form: \`{"error": {"message", "type", "code", "param"}}\`. Every response carries \`X-Request-Id\`.`;

const SCHEMES: Readonly<Record<Role, string>> = {
  generation: "The server's SINTER_TOKEN, or its SINTER_ADMIN_TOKEN.",
  admin: "The server's SINTER_ADMIN_TOKEN.",
};

/** Describes every route of the application. */
export function openApiDocument(app: OpenAPIHono<ShellEnv>, parts: readonly Part[]): OpenApiDocument {
  for (const [role, description] of Object.entries(SCHEMES)) {
    app.openAPIRegistry.registerComponent("securitySchemes", role, {
      type: "http",
      scheme: "bearer",
      description,
    });
  }
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Sinter", version: "0.1.0", description: ABOUT, license: { name: "MIT" } },
  });
  for (const { routes, role } of parts) {
    if (!role) continue;
    for (const definition of routes.openAPIRegistry.definitions) {
      if (definition.type !== "route") continue;
      const { path, method } = definition.route;
      const operation = method === "query" ? undefined : document.paths?.[path]?.[method];
      if (operation) operation.security = [{ [role]: [] }];
    }
  }
  return document;
}
