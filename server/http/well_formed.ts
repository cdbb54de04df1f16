/**
 * Refuses what the rest of the server could not even look at: requests whose address is none, and methods that no
 * `Request` can have.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./error.ts";

/** Methods that a route of HTTP can have. */
export const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Lets a request pass that has a URL and a usual method. */
export function wellFormed(): MiddlewareHandler {
  return async (context, next) => {
    if (!URL.canParse(context.req.url)) {
      throw new ApiError(400, "bad_host", "The header Host is not a host; send the server's own.");
    }
    if (!METHODS.includes(context.req.method)) {
      const message = `The method is not one of ${METHODS.join(", ")}.`;
      throw new ApiError(405, "method_not_allowed", message);
    }
    await next();
  };
}
