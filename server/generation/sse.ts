/**
 * Answers as server-sent events. The next event is made when the client has taken the one before, so a slow reader holds no
 * memory here; one that stalls or leaves ends the source, whose places are free at once.
 *
 * @module
 */

/** Milliseconds between comments in a quiet stream, which keep proxies from closing it. */
const HEARTBEAT_MS = 15_000;

/** An event: its name (left out for those that have none) and its data, as one line of text. */
export interface ServerSentEvent {
  readonly event?: string;
  readonly data: string;
}

/**
 * Streams events.
 *
 * @param leave Is called when the client has gone.
 */
export function sseResponse(
  events: AsyncGenerator<ServerSentEvent>,
  leave: () => void,
  heartbeatMs: number = HEARTBEAT_MS,
): Response {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<ServerSentEvent>> | undefined;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      next ??= events.next();
      const result = await raced(next, heartbeatMs);
      if (result === "quiet") {
        controller.enqueue(encoder.encode(": still here\n\n"));
        return;
      }
      next = undefined;
      if (result.done) {
        controller.close();
        return;
      }
      const { event, data } = result.value;
      controller.enqueue(
        encoder.encode(`${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`),
      );
    },
    cancel() {
      leave();
      // It may be waiting for its source, which `leave` ends.
      events.return(undefined).catch(() => {});
    },
  }, { highWaterMark: 0 });
  return new Response(body, {
    headers: {
      "Content-Type": "text/event-stream",
      // Compression or buffering by a proxy would hold tokens back.
      "Cache-Control": "no-cache, no-transform",
      "X-Accel-Buffering": "no",
    },
  });
}

async function raced<T>(promise: Promise<T>, ms: number): Promise<T | "quiet"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const quiet = new Promise<"quiet">((resolve) => {
    timer = setTimeout(() => resolve("quiet"), ms);
    Deno.unrefTimer(timer);
  });
  try {
    return await Promise.race([promise, quiet]);
  } finally {
    clearTimeout(timer);
  }
}
