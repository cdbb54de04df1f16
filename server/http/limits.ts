/**
 * Bounds on what a request may bring: the length of its URL, its headers and its body, and the time that the body may
 * take to arrive. Past them it is refused before any route sees it.
 *
 * @module
 */
import { concat } from "@std/bytes";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./error.ts";

/** Bounds of a request. */
export interface RequestLimits {
  /** Characters of the URL's path and query. */
  readonly urlLength: number;
  /** Characters of all headers together, names and values. */
  readonly headerLength: number;
  /** Bytes of the body. */
  readonly bodyBytes: number;
  /** Milliseconds from a request's headers to the end of its body. */
  readonly bodyMs: number;
}

/** Far more than any prompt that a model of 1024 tokens can take. */
export const DEFAULT_LIMITS: RequestLimits = {
  urlLength: 4096,
  headerLength: 16 * 1024,
  bodyBytes: 1024 * 1024,
  bodyMs: 30_000,
};

/** Refuses what is past the limits with 414, 431, 413 or 408. Routes get the body when all of it is there. */
export function requestLimits(limits: RequestLimits): MiddlewareHandler {
  return async (context, next) => {
    const { raw } = context.req;
    const { pathname, search } = new URL(raw.url);
    if (pathname.length + search.length > limits.urlLength) {
      throw new ApiError(414, "url_too_long", `The URL is over ${limits.urlLength} characters; shorten it.`);
    }
    let headers = 0;
    for (const [name, value] of raw.headers) headers += name.length + value.length;
    if (headers > limits.headerLength) {
      const message = `The headers are over ${limits.headerLength} characters together; send fewer.`;
      throw new ApiError(431, "headers_too_large", message);
    }
    if (raw.body) {
      if (Number(raw.headers.get("content-length") ?? 0) > limits.bodyBytes) throw tooLarge(limits);
      context.req.raw = new Request(raw, { body: await readBody(raw.body, limits) });
    }
    await next();
  };
}

/** Reads a body to its end, within the limits. */
async function readBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  limits: RequestLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    reader.cancel().catch(() => {});
  }, limits.bodyMs);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (isLate) {
        throw new ApiError(408, "body_too_slow", `The body took over ${limits.bodyMs} ms; send it at once.`);
      }
      if (done) break;
      bytes += value.byteLength;
      if (bytes > limits.bodyBytes) throw tooLarge(limits);
      chunks.push(value);
    }
  } catch (problem) {
    reader.cancel().catch(() => {});
    if (problem instanceof ApiError) throw problem;
    throw new ApiError(400, "incomplete_body", "The body ended before its end; send it again.");
  } finally {
    clearTimeout(timer);
  }
  return concat(chunks);
}

function tooLarge(limits: RequestLimits): ApiError {
  return new ApiError(413, "body_too_large", `The body is over ${limits.bodyBytes} bytes; send less.`);
}
