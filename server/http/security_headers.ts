/**
 * Headers that keep browsers from doing what the server does not mean: pages load scripts and styles from this server
 * alone, run nothing inline, and cannot be framed; nothing is taken for another type than it says; answers are not kept
 * by caches unless a route says otherwise.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { secureHeaders } from "hono/secure-headers";

const SELF = ["'self'"];

/** Sets the headers on every response. */
export function securityHeaders(): MiddlewareHandler {
  const secure = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      scriptSrc: SELF,
      styleSrc: SELF,
      imgSrc: ["'self'", "data:"],
      fontSrc: SELF,
      connectSrc: SELF,
      formAction: SELF,
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
    xFrameOptions: "DENY",
    // The server speaks plain HTTP; what is before it may add this.
    strictTransportSecurity: false,
  });
  return async (context, next) => {
    await secure(context, next);
    if (!context.res.headers.has("Cache-Control")) context.res.headers.set("Cache-Control", "no-store");
  };
}
