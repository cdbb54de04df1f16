/**
 * A job's events as server-sent events. Each has its id, so a browser that reconnects says by itself what it has seen last,
 * and gets what followed; every quiet while brings a comment, so proxies keep the connection and dead ones are noticed.
 *
 * @module
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { JobEvent } from "../services.ts";

/**
 * Streams events until they end or the client leaves. A client that reads slowly slows its own events down and holds no more
 * of them in memory than one page.
 *
 * @param follow Makes the events; the signal says that the client has gone.
 * @param heartbeatMs Milliseconds between comments.
 */
export function streamEvents(
  context: Context,
  follow: (signal: AbortSignal) => AsyncIterable<JobEvent>,
  heartbeatMs: number,
): Response {
  // Compression or buffering by a proxy would hold events back.
  context.header("Cache-Control", "no-cache, no-transform");
  context.header("X-Accel-Buffering", "no");
  return streamSSE(context, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const heart = setInterval(() => stream.write(": still here\n\n"), heartbeatMs);
    try {
      await stream.write("retry: 2000\n\n");
      for await (const { id, time, kind, data } of follow(gone.signal)) {
        await stream.writeSSE({
          id: String(id),
          event: kind,
          data: JSON.stringify({ id, time, kind, data }),
        });
      }
    } finally {
      clearInterval(heart);
      gone.abort();
    }
  });
}
