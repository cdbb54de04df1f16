/**
 * Signals that ask a command to stop.
 *
 * @module
 */

/** Milliseconds within which two signals are one. */
const MOMENT = 300;

/**
 * Calls `first` at the first interrupt and `second` at the next one. A task runner may pass on the signal that the
 * terminal has sent to every process already: two within a moment are one.
 */
export function onInterrupt(first: () => void, second: () => void): void {
  let at: number | undefined;
  const listen = () => {
    if (at === undefined) {
      at = performance.now();
      first();
    } else if (performance.now() - at > MOMENT) second();
  };
  Deno.addSignalListener("SIGINT", listen);
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", listen);
}
