/**
 * Where the server stands between its start and its end. Health routes show it, the shell refuses new work by it, and
 * streams that have no end of their own stop when it drains.
 *
 * @module
 */

/**
 * `starting` until generation is up, `recovering` while its device is being replaced, `draining` from the first signal
 * to stop.
 */
export type Phase = "starting" | "ready" | "recovering" | "draining";

/** The phase that the server is in. */
export class Lifecycle {
  readonly #draining = new AbortController();
  #phase: Phase = "starting";

  /** A server that is ready from the start. */
  static ready(): Lifecycle {
    const lifecycle = new Lifecycle();
    lifecycle.setUp(true);
    return lifecycle;
  }

  /** Where the server stands. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Aborts when the server begins to drain. */
  get drainSignal(): AbortSignal {
    return this.#draining.signal;
  }

  /** Generation is up, or not any more. Means nothing once the server drains. */
  setUp(isUp: boolean): void {
    if (this.#phase === "draining") return;
    if (isUp) this.#phase = "ready";
    else if (this.#phase === "ready") this.#phase = "recovering";
  }

  /** From now on nothing new is begun. */
  drain(): void {
    this.#phase = "draining";
    this.#draining.abort();
  }
}
