/**
 * What happens to jobs, written down and told: events go to the database first and to whoever follows afterwards, so nobody
 * hears of anything that a crash could take back. Events that come in crowds (steps) are gathered for a moment and written
 * in one transaction.
 *
 * @module
 */
import type { JobEvent, JobState } from "../services.ts";
import type { Entry, JobStore } from "./store.ts";

/** How long events may be gathered, in milliseconds. */
const GATHER_MS = 100;
/** How many; some 2 ms of work for the thread. */
const GATHER_MOST = 128;
/** Time until a database that could not be written is tried again, in milliseconds. */
const RETRY_MS = 1000;
/** Events that a follower reads at once. */
const PAGE = 256;

/** States that a job does not leave by itself. */
const OVER: readonly JobState[] = ["finished", "failed", "cancelled"];

/** True when nothing more will happen to a job in this state, unless it is asked for. */
export function isOver(state: JobState): boolean {
  return OVER.includes(state);
}

/** Who wants to know. */
export interface JournalListeners {
  /** Called with every event, after it has been written. */
  readonly onEvent?: (event: JobEvent, job: string) => void;
  /** Called when the database cannot be written; it is tried again. */
  readonly onProblem?: (problem: unknown) => void;
}

/** Writes events, and lets clients follow them. */
export class Journal {
  #gathered: Entry[] = [];
  #job = "";
  #timer?: ReturnType<typeof setTimeout>;
  #isClosed = false;
  readonly #followers = new Map<string, Set<() => void>>();

  constructor(private readonly store: JobStore, private readonly listeners: JournalListeners = {}) {}

  /** Writes an event now, and those that were gathered before it. When it cannot be written, it has not happened. */
  write(job: string, entry: Entry): void {
    if (job !== this.#job) this.flush();
    this.#job = job;
    this.#gathered.push(entry);
    try {
      this.flush();
    } catch (problem) {
      this.#gathered.pop();
      throw problem;
    }
  }

  /** Writes an event within a tenth of a second. */
  gather(job: string, entry: Entry): void {
    if (job !== this.#job) this.flush();
    this.#job = job;
    this.#gathered.push(entry);
    if (this.#gathered.length >= GATHER_MOST) this.#tryFlush();
    else this.#timer ??= setTimeout(() => this.#tryFlush(), GATHER_MS);
  }

  /** Writes what has been gathered. What could not be written is kept. */
  flush(): void {
    if (this.#gathered.length === 0) return;
    const job = this.#job;
    const events = this.store.append(job, this.#gathered);
    this.#gathered = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const event of events) this.listeners.onEvent?.(event, job);
    for (const wake of this.#followers.get(job) ?? []) wake();
  }

  /** Past events after `after`, then live ones, until the job is over, the signal aborts or the journal is closed. */
  async *follow(job: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent, void> {
    let news = Promise.withResolvers<void>();
    const wake = () => news.resolve();
    const followers = this.#followers.get(job) ?? new Set();
    this.#followers.set(job, followers.add(wake));
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        news = Promise.withResolvers(); // before the look at the database: what is written meanwhile is not slept through
        const events = this.store.events(job, { after, limit: PAGE });
        for (const event of events) {
          if (signal.aborted) return;
          after = event.id;
          yield event;
        }
        if (events.length > 0) continue;
        if (this.#isClosed || isOver(this.store.get(job)!.state)) return;
        await news.promise;
      }
    } finally {
      signal.removeEventListener("abort", wake);
      followers.delete(wake);
      if (followers.size === 0) this.#followers.delete(job);
    }
  }

  /** Writes what is left, and lets followers go. */
  close(): void {
    this.#isClosed = true;
    try {
      this.flush();
    } finally {
      clearTimeout(this.#timer);
      for (const followers of this.#followers.values()) for (const wake of followers) wake();
    }
  }

  #tryFlush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      this.flush();
    } catch (problem) {
      this.listeners.onProblem?.(problem);
      this.#timer = setTimeout(() => this.#tryFlush(), RETRY_MS);
    }
  }
}
