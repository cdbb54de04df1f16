/**
 * Request ids: a client's own, when it is harmless, or a new one. Every response carries it, every line of the log, and
 * the message of an internal error, so that a user's report leads to its cause.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import type { ShellEnv } from "./context.ts";

/** The header, in requests and responses. */
export const REQUEST_ID_HEADER = "X-Request-Id";

/** Ids that may be written to a log and a header as they are. */
const HARMLESS = /^[A-Za-z0-9._-]{1,64}$/;

/** The id of a request: what the client gave when it is harmless, otherwise a random one. */
export function requestIdFrom(given: string | undefined): string {
  return given !== undefined && HARMLESS.test(given) ? given : crypto.randomUUID();
}

/** Gives every request an id. The first of all middleware: it sets the header on errors too. */
export function requestIds(): MiddlewareHandler<ShellEnv> {
  return async (context, next) => {
    const id = requestIdFrom(context.req.header(REQUEST_ID_HEADER));
    context.set("requestId", id);
    await next();
    context.res.headers.set(REQUEST_ID_HEADER, id);
  };
}
