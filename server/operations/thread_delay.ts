/**
 * Gaps of the main thread: a timer that should fire every few milliseconds shows how long nothing else could have been
 * answered either.
 *
 * @module
 */
import { Gauge, Histogram, type Registry } from "prom-client";
import { DELAY_SECONDS } from "./buckets.ts";

/** Milliseconds between looks. */
const EVERY = 20;

/** Measures while it runs. */
export class ThreadDelay {
  readonly #delays: Histogram;
  #timer: ReturnType<typeof setInterval> | undefined;
  #longest = 0;

  /** Registers the metrics. */
  constructor(registry: Registry) {
    const registers = [registry];
    this.#delays = new Histogram({
      name: "sinter_main_thread_delay_seconds",
      help: `How much later than asked a timer of ${EVERY} ms fires on the thread that answers requests.`,
      buckets: DELAY_SECONDS,
      registers,
    });
    const takeLongest = () => {
      const longest = this.#longest;
      this.#longest = 0;
      return longest;
    };
    new Gauge({
      name: "sinter_main_thread_delay_longest_seconds",
      help: "The longest such delay since the last scrape.",
      registers,
      collect() {
        this.set(takeLongest());
      },
    });
  }

  /** Begins to measure; keeps no process alive. */
  start(): void {
    if (this.#timer !== undefined) return;
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      const delay = Math.max(0, now - last - EVERY) / 1000;
      last = now;
      this.#longest = Math.max(this.#longest, delay);
      this.#delays.observe(delay);
    }, EVERY);
    Deno.unrefTimer(this.#timer);
  }

  /** Ends measuring. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
