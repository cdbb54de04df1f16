/**
 * Refuses new work while the server goes down; what is under way goes on.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { Lifecycle } from "../operations/lifecycle.ts";
import { ApiError } from "./error.ts";

/** Seconds after which a server that was restarted should be up. */
const RESTART_SECONDS = 10;

/** Answers 503 to what would begin something, once the server drains. */
export function refuseWhileDraining(lifecycle: Lifecycle): MiddlewareHandler {
  return async (context, next) => {
    if (lifecycle.phase === "draining" && context.req.method === "POST") {
      const message = "The server is going down; try again when it is up again.";
      throw new ApiError(503, "shutting_down", message, { retryAfter: RESTART_SECONDS });
    }
    await next();
  };
}
