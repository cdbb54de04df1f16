/**
 * `/healthz` and `/readyz`, for whoever supervises the process: the first says that it lives, the second whether it
 * should be sent requests. Neither waits for anything.
 *
 * @module
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Lifecycle } from "./lifecycle.ts";

const Alive = z.object({ status: z.literal("ok") }).openapi("Health");
const Readiness = z.object({ status: z.enum(["starting", "ready", "recovering", "draining"]) }).openapi(
  "Readiness",
);

const healthRoute = createRoute({
  method: "get",
  path: "/healthz",
  tags: ["operations"],
  summary: "Whether the process answers",
  responses: { 200: { description: "It does.", content: { "application/json": { schema: Alive } } } },
});

const readyRoute = createRoute({
  method: "get",
  path: "/readyz",
  tags: ["operations"],
  summary: "Whether requests should be sent here",
  responses: {
    200: { description: "They should.", content: { "application/json": { schema: Readiness } } },
    503: {
      description: "Generation is not up, or the server is going down.",
      content: { "application/json": { schema: Readiness } },
    },
  },
});

/** Routes of health. */
export function healthRoutes(lifecycle: Lifecycle): OpenAPIHono {
  return new OpenAPIHono()
    .openapi(healthRoute, (context) => context.json({ status: "ok" as const }, 200))
    .openapi(readyRoute, (context) => {
      const status = lifecycle.phase;
      return context.json({ status }, status === "ready" ? 200 : 503);
    });
}
