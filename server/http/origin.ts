/**
 * Keeps other web sites out of a server that trusts its own machine. A page anywhere can make a browser send requests
 * to 127.0.0.1, directly or by a name of its own that resolves there (DNS rebinding): the first carries a foreign
 * `Origin`, the second a foreign `Host`. Both are refused.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./error.ts";

/** True for names and addresses of the machine itself. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Whom requests may come from. */
export interface OriginRules {
  /** The server listens on the machine's own address only: requests must be addressed to it by such a name. */
  readonly loopbackOnly: boolean;
  /** Foreign origins whose pages may call, such as `http://localhost:3000`. */
  readonly allowed: readonly string[];
}

/** Refuses foreign hosts, and what pages of foreign origins ask to be done. */
export function originRules({ loopbackOnly, allowed }: OriginRules): MiddlewareHandler {
  return async (context, next) => {
    const host = context.req.header("Host") ?? new URL(context.req.url).host;
    if (loopbackOnly && !isLoopback(hostnameOf(host))) {
      const message = "The server listens on this machine only: address it as 127.0.0.1 or localhost.";
      throw new ApiError(421, "foreign_host", message);
    }
    const origin = context.req.header("Origin");
    const isSafe = ["GET", "HEAD", "OPTIONS"].includes(context.req.method);
    if (!isSafe && origin !== undefined && !isOwn(origin, host) && !allowed.includes(origin)) {
      const message =
        "Pages of other origins may not call this server; start it with --cors ORIGIN to let them.";
      throw new ApiError(403, "foreign_origin", message);
    }
    await next();
  };
}

/** `localhost` of `localhost:8000`, empty when it is no host. */
function hostnameOf(host: string): string {
  return /[@/\\?#]/.test(host) ? "" : URL.parse(`http://${host}/`)?.hostname ?? "";
}

/** An origin whose host and port are the request's; its scheme may be that of a proxy before the server. */
function isOwn(origin: string, host: string): boolean {
  const own = URL.parse(`http://${host}/`)?.host;
  const given = URL.parse(origin);
  return given !== null && own !== undefined && given.host === own;
}
