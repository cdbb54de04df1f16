/**
 * Watches a response's body on its way out: how many bytes went, when the last one did, whether the client left. It
 * also ends what should not go on: a body that its reader does not take for a long time, and an endless stream of
 * events when the server goes down.
 *
 * @module
 */

/** How a body ended. */
export interface BodyEnd {
  readonly bytes: number;
  /** It was not sent to its end. */
  readonly aborted: boolean;
  /** What its source failed with. */
  readonly problem?: unknown;
}

/** What to watch for. */
export interface BodyWatch {
  /** Is called once, when the body has ended. */
  onEnd(end: BodyEnd): void;
  /** Milliseconds that a reader may leave a full buffer untouched before the body is given up. */
  readonly stallMs: number;
  /** When it aborts, the body ends where it is, as if that were its end. */
  readonly endSignal?: AbortSignal;
}

/** The same body, watched. Its source is cancelled when the reader leaves, stalls, or the signal ends it. */
export function watchBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  { onEnd, stallMs, endSignal }: BodyWatch,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let bytes = 0;
  let over = false;
  let stall: ReturnType<typeof setTimeout> | undefined;
  const end = (aborted: boolean, problem?: unknown) => {
    if (over) return;
    over = true;
    clearTimeout(stall);
    endSignal?.removeEventListener("abort", endNow);
    onEnd({ bytes, aborted, ...problem === undefined ? {} : { problem } });
  };
  const cancelSource = (reason: unknown) => reader.cancel(reason).catch(() => {});
  let endNow = () => {};
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      endNow = () => {
        if (over) return;
        end(false);
        controller.close();
        cancelSource("the server is going down");
      };
      if (endSignal?.aborted) endNow();
      else endSignal?.addEventListener("abort", endNow, { once: true });
    },
    async pull(controller) {
      clearTimeout(stall);
      try {
        const { done, value } = await reader.read();
        if (over) return;
        if (done) {
          end(false);
          controller.close();
          return;
        }
        bytes += value.byteLength;
        controller.enqueue(value);
        // The next pull comes when the reader has taken this chunk.
        stall = setTimeout(() => {
          end(true);
          controller.error(new DOMException("the reader stalled", "TimeoutError"));
          cancelSource("the reader stalled");
        }, stallMs);
        Deno.unrefTimer(stall);
      } catch (problem) {
        if (over) return;
        end(true, problem);
        controller.error(problem);
      }
    },
    cancel(reason) {
      end(true);
      return cancelSource(reason);
    },
  }, { highWaterMark: 0 });
}
