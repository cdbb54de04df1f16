/**
 * Keeps the device's queue filled. A readback in Deno returns only when the queue is empty and then sleeps 10 ms, and some
 * drivers block the thread at every submission until the one before is done. So at the moment when the queue is empty,
 * enough for those 10 ms is submitted and no more: while the device works on it, the thread sleeps, takes the values,
 * sends figures and hears messages. The rest follows afterwards.
 *
 * @module
 */
import type { Readback } from "../runtime/mod.ts";

/**
 * Submits when it is asked to go on: one submission each time, and `undefined` for it; or the copies of a readback, and the
 * readback. After a readback it is asked to go on when the queue is empty: that is the time to stop a clock.
 */
export type Submissions = IterableIterator<Readback<void> | undefined, void>;

/**
 * Has everything submitted and all readbacks read, in their order.
 *
 * @param ahead How many submissions keep the device busy while the thread sleeps; 1 by default.
 */
export async function runPipeline(submissions: Submissions, ahead: () => number = () => 1): Promise<void> {
  const pending: Readback<void>[] = [];
  let isOver = false;
  const goOn = () => {
    const { done, value } = submissions.next();
    if (done) isOver = true;
    if (value) pending.push(value);
    return !done && !value;
  };
  const fill = () => {
    // What is not copied yet must be read before anything changes it.
    for (let left = ahead(); left > 0 && !isOver && pending.at(-1)?.isCopied !== false;) {
      if (goOn()) left--;
    }
  };
  for (;;) {
    while (!isOver && pending.length === 0) goOn();
    const readback = pending.shift();
    if (!readback) return;
    await readback.read(fill);
  }
}
