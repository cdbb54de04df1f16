/**
 * Follows each request from its arrival to the last byte of its response, for the log and the metrics, and gives up on
 * readers that stopped reading.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { HttpMetrics } from "../operations/http_metrics.ts";
import type { Lifecycle } from "../operations/lifecycle.ts";
import type { ShellEnv } from "./context.ts";
import type { Log } from "./log.ts";
import { type BodyEnd, watchBody } from "./watch_body.ts";

/** What watching needs. */
export interface RequestWatch {
  readonly log?: Log;
  readonly metrics: HttpMetrics;
  readonly lifecycle: Lifecycle;
  /** Milliseconds that a reader may leave a chunk of its response untouched. */
  readonly stallMs: number;
}

/** Watches every request. */
export function watchRequests(
  { log, metrics, lifecycle, stallMs }: RequestWatch,
): MiddlewareHandler<ShellEnv> {
  return async (context, next) => {
    const start = performance.now();
    const { method, path } = context.req;
    const id = context.get("requestId");
    metrics.begin();
    await next();
    const { status, headers, body } = context.res;
    const route = matchedRoutes(context).find((matched) => matched.method !== "ALL")?.path ?? "none";
    const onEnd = ({ bytes, aborted, problem }: BodyEnd) => {
      const ms = performance.now() - start;
      metrics.end({ method, route, status, seconds: ms / 1000, bytes });
      if (problem !== undefined) log?.problem(problem, { id });
      log?.request({ id, method, path, status, ms, bytes, aborted });
    };
    if (method === "HEAD" || !body) {
      // Nobody will read the body of a HEAD request: what would fill it must not wait.
      body?.cancel().catch(() => {});
      onEnd({ bytes: 0, aborted: false });
      return;
    }
    if (headers.get("Content-Type")?.startsWith("application/json")) {
      // All of it is there: sent in one piece, with its length.
      const whole = await context.res.bytes();
      onEnd({ bytes: whole.byteLength, aborted: false });
      context.res = new Response(whole, { status, headers });
      context.res.headers.set("Content-Length", String(whole.byteLength));
      return;
    }
    // Streams that clients follow have no end of their own; an answer that was asked for is sent to its end.
    const isFollowed = method === "GET" && headers.get("Content-Type")?.startsWith("text/event-stream");
    const endSignal = isFollowed ? lifecycle.drainSignal : undefined;
    context.res = new Response(watchBody(body, { onEnd, stallMs, endSignal }), { status, headers });
  };
}
