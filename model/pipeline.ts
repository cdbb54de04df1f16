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

/** Work that keeps the device busy while the thread sleeps after a readback, in milliseconds. */
const AHEAD_MS = 25;
/** Shortest time that a submission is thought to take. */
const LEAST_MS = 0.1;

/**
 * Has everything submitted and all readbacks read, in their order.
 *
 * @param ahead How many submissions keep the device busy while the thread sleeps, by the mean milliseconds of those since the
 * readback before.
 */
export async function runPipeline(
  submissions: Submissions,
  ahead: (msEach: number) => number = (msEach) => Math.ceil(AHEAD_MS / Math.max(LEAST_MS, msEach)),
): Promise<void> {
  const pending: Readback<void>[] = [];
  let isOver = false;
  let submitted = 0;
  let since = performance.now();
  const goOn = () => {
    const { done, value } = submissions.next();
    if (done) isOver = true;
    if (value) pending.push(value);
    else if (!done) submitted++;
    return !done && !value;
  };
  const fill = () => {
    const now = performance.now();
    const count = ahead((now - since) / Math.max(1, submitted));
    [since, submitted] = [now, 0];
    // What is not copied yet must be read before anything changes it.
    for (let left = count; left > 0 && !isOver && pending.at(-1)?.isCopied !== false;) {
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
