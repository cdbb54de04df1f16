/**
 * Keeps the device's queue filled. A readback in Deno returns only when the queue is empty, so what comes next is submitted
 * at that very moment, before the thread sleeps and looks at what was read: the device waits for one submission to be
 * encoded, and not for sleeping, sending figures or writing files.
 *
 * @module
 */
import type { Readback } from "../runtime/mod.ts";

/**
 * Something that the device does and the host then looks at. The call queues it, readbacks included, and waits for nothing;
 * what it returns waits for the outcome and makes use of it, and must call its `whenIdle`.
 */
export type Work = () => Readback<void>;

/**
 * Does one work after the other, the next one submitted while the last one is finished.
 *
 * @param next Decides what comes next, once for each work and before the outcome of the work before it is known; undefined
 * for nothing.
 */
export async function runPipeline(next: () => Work | undefined): Promise<void> {
  let finish = next()?.();
  while (finish) {
    let following: Readback<void> | undefined;
    await finish(() => following = next()?.());
    finish = following;
  }
}
