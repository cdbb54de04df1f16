/**
 * Refuses requests while the server goes down; what is under way goes on.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { Lifecycle } from "../operations/lifecycle.ts";
import { ApiError } from "./error.ts";

/** Seconds after which a server that was restarted should be up. */
const RESTART_SECONDS = 10;

/** What answers to the end: those who supervise the process ask it. */
const TO_THE_END: readonly string[] = ["/healthz", "/readyz"];

/** Answers 503 once the server drains: what is behind the routes is being closed. */
export function refuseWhileDraining(lifecycle: Lifecycle): MiddlewareHandler {
  return async (context, next) => {
    if (lifecycle.phase === "draining" && !TO_THE_END.includes(context.req.path)) {
      const message = "The server is going down; try again when it is up again.";
      throw new ApiError(503, "shutting_down", message, { retryAfter: RESTART_SECONDS });
    }
    await next();
  };
}
