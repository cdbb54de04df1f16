/**
 * Where the server stands between its start and its end. Health routes show it, the shell refuses new work by it, and
 * streams that have no end of their own stop when it drains.
 *
 * @module
 */

/** Starting until generation is up; draining from the first signal to stop. */
export type Phase = "starting" | "ready" | "draining";

/** The phase that the server is in. It only ever goes forward. */
export class Lifecycle {
  readonly #draining = new AbortController();
  #phase: Phase = "starting";

  /** A server that is ready from the start. */
  static ready(): Lifecycle {
    const lifecycle = new Lifecycle();
    lifecycle.setReady();
    return lifecycle;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Aborts when the server begins to drain. */
  get drainSignal(): AbortSignal {
    return this.#draining.signal;
  }

  /** Everything is up. */
  setReady(): void {
    if (this.#phase === "starting") this.#phase = "ready";
  }

  /** From now on nothing new is begun. */
  drain(): void {
    this.#phase = "draining";
    this.#draining.abort();
  }
}
