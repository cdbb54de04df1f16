/**
 * Progress of long work: a status line on a terminal, a line every few seconds in a log.
 *
 * @module
 */
import type { OutputScreen } from "./screen.ts";
import { clock } from "./text.ts";

/** Between two changes of a status line, in milliseconds. */
const STATUS_MS = 200;
/** Between two lines of a log, in milliseconds. */
const LOG_MS = 5000;

/** Shows how far work is, and when it will be done. */
export class ProgressLine {
  readonly #begun = performance.now();
  #shown = -Infinity;
  #first: number | undefined;

  constructor(private readonly screen: OutputScreen) {}

  /**
   * Shows it, unless that was done a moment ago.
   *
   * @param done What is done, in any unit; what was there at the first call does not count for the rate.
   * @param total All of it.
   * @param text Says it, given what is done in a second.
   */
  show(done: number, total: number, text: (rate: number) => string): void {
    this.#first ??= done;
    const now = performance.now();
    const isStatus = this.screen.columns !== undefined;
    if (now - this.#shown < (isStatus ? STATUS_MS : LOG_MS)) return;
    this.#shown = now;
    const rate = (done - this.#first) / Math.max(1, now - this.#begun) * 1000;
    const left = rate > 0 ? `, ETA ${clock((total - done) / rate * 1000)}` : "";
    if (isStatus) this.screen.status(text(rate) + left);
    else this.screen.line(text(rate) + left);
  }
}
