/**
 * Training jobs that only keep books: one runs, the others wait, and a test says when a step is done.
 *
 * @module
 */
import { ApiError } from "../../server/http/error.ts";
import type {
  EventQuery,
  Job,
  JobCheckpoint,
  JobEvent,
  JobQuery,
  JobState,
  StepMetrics,
  TrainingService,
} from "../../server/services.ts";

interface Entry {
  job: Job;
  readonly events: JobEvent[];
  readonly checkpoints: JobCheckpoint[];
  readonly listeners: Set<() => void>;
}

const TIME = "2026-01-31T12:00:00.000Z";
const OVER: readonly JobState[] = ["finished", "failed", "cancelled"];

/** Keeps jobs in memory. */
export class FakeTraining implements TrainingService {
  readonly #entries = new Map<string, Entry>();
  /** When set, methods throw it: something inside went wrong. */
  broken: Error | undefined;

  create(config: Readonly<Record<string, unknown>>): Promise<Job> {
    const id = `job-${this.#entries.size + 1}`;
    const job: Job = { id, state: "queued", createdAt: TIME, config, step: 0, steps: 10 };
    this.#entries.set(id, { job, events: [], checkpoints: [], listeners: new Set() });
    this.#emit(id, "state", { state: "queued" });
    this.#schedule();
    return Promise.resolve(this.get(id));
  }

  list({ states, limit }: JobQuery = {}): readonly Job[] {
    if (this.broken) throw this.broken;
    const jobs = [...this.#entries.values()].map(({ job }) => job).reverse();
    return jobs.filter(({ state }) => !states || states.includes(state)).slice(0, limit);
  }

  counts(): Record<JobState, number> {
    const counts = { queued: 0, running: 0, paused: 0, finished: 0, failed: 0, cancelled: 0 };
    for (const { state } of this.list()) counts[state]++;
    return counts;
  }

  metrics(id: string, { after = 0, limit }: { after?: number; limit?: number }): readonly StepMetrics[] {
    return this.events(id, { kinds: ["step"] }).map(({ data }) => data as unknown as StepMetrics)
      .filter(({ step }) => step > after).slice(0, limit);
  }

  get(id: string): Job {
    return this.#entry(id).job;
  }

  pause(id: string): Promise<Job> {
    return this.#move(id, ["queued", "running"], "paused");
  }

  resume(id: string): Promise<Job> {
    return this.#move(id, ["paused"], "queued");
  }

  cancel(id: string): Promise<Job> {
    return this.#move(id, ["queued", "running", "paused"], "cancelled");
  }

  checkpoint(id: string): Promise<JobCheckpoint> {
    const { job, checkpoints } = this.#entry(id);
    this.#demand(id, ["running"]);
    const checkpoint = { step: job.step, savedAt: TIME, bytes: 2, files: [{ name: "model.json", bytes: 2 }] };
    checkpoints.push(checkpoint);
    this.#emit(id, "checkpoint", { step: job.step });
    return Promise.resolve(checkpoint);
  }

  sample(id: string, { prompt, maxTokens }: { prompt: string; maxTokens: number }): Promise<string> {
    return Promise.try(() => {
      this.#demand(id, ["running"]);
      return prompt + "a".repeat(maxTokens);
    });
  }

  events(id: string, { after = 0, limit = Infinity, kinds }: EventQuery): readonly JobEvent[] {
    const wanted = this.#entry(id).events.filter((event) =>
      event.id > after && (!kinds || kinds.includes(event.kind))
    );
    return wanted.slice(0, limit);
  }

  async *follow(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const { events, listeners } = this.#entry(id);
    for (let next = after;;) {
      const news = Promise.withResolvers<void>();
      listeners.add(news.resolve);
      signal.addEventListener("abort", () => news.resolve(), { once: true });
      for (const event of events.filter((event) => event.id > next)) {
        if (signal.aborted) return;
        yield event;
        next = event.id;
      }
      const isNew = events.some((event) => event.id > next);
      if (signal.aborted || (!isNew && OVER.includes(this.get(id).state))) return;
      if (!isNew) await news.promise;
      listeners.delete(news.resolve);
    }
  }

  checkpoints(id: string): Promise<readonly JobCheckpoint[]> {
    return Promise.try(() => {
      return this.#entry(id).checkpoints;
    });
  }

  checkpointFile(id: string, step: number, name: string): Promise<string> {
    return Promise.try(() => {
      const checkpoint = this.#entry(id).checkpoints.find((checkpoint) => checkpoint.step === step);
      if (!checkpoint?.files.some((file) => file.name === name)) {
        throw new ApiError(404, "unknown_file", "There is no such file.");
      }
      return new URL("../../deno.json", import.meta.url).pathname;
    });
  }

  /** The running job does a step; after its last one it has finished. */
  step(id: string, loss: number): void {
    const entry = this.#entry(id);
    const step = entry.job.step + 1;
    entry.job = { ...entry.job, step, loss, tokensPerSecond: 1000 };
    this.#emit(id, "step", { step, loss, learningRate: 1e-3, gradNorm: 1, tokensPerSecond: 1000, ms: 40 });
    if (step === entry.job.steps) {
      this.#setState(entry, "finished");
      this.#schedule();
    }
  }

  #entry(id: string): Entry {
    if (this.broken) throw this.broken;
    const entry = this.#entries.get(id);
    if (!entry) throw new ApiError(404, "unknown_job", "There is no such job.", { param: "id" });
    return entry;
  }

  #demand(id: string, states: readonly JobState[]): void {
    const { state } = this.get(id);
    if (!states.includes(state)) throw new ApiError(409, "wrong_state", `The job is ${state}.`);
  }

  #move(id: string, from: readonly JobState[], to: JobState): Promise<Job> {
    return Promise.try(() => {
      this.#demand(id, from);
      this.#setState(this.#entry(id), to);
      this.#schedule();
      return this.get(id);
    });
  }

  #schedule(): void {
    const entries = [...this.#entries.values()];
    const queue = entries.filter(({ job }) => job.state === "queued");
    if (!entries.some(({ job }) => job.state === "running") && queue.length > 0) {
      this.#setState(queue.shift()!, "running");
    }
    queue.forEach((entry, index) => entry.job = { ...entry.job, position: index + 1 });
  }

  #setState(entry: Entry, state: JobState): void {
    const { position: _, ...job } = entry.job;
    entry.job = { ...job, state };
    this.#emit(job.id, "state", { state });
  }

  #emit(id: string, kind: string, data: Readonly<Record<string, unknown>>): void {
    const { events, listeners } = this.#entry(id);
    events.push({ id: events.length + 1, time: TIME, kind, data });
    for (const listener of listeners) listener();
  }
}
