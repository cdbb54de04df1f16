/**
 * Training jobs: one has the device, the others wait in the order in which they were asked for. Everything that a client is
 * told is in the database first, so a server that starts again, after whatever end, goes on where the old one was: the job
 * that ran is the first of the queue and continues from its newest checkpoint, bit for bit.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import { join } from "@std/path";
import { ApiError } from "../http/error.ts";
import type {
  EventQuery,
  Job,
  JobCheckpoint,
  JobEvent,
  JobQuery,
  JobState,
  StepMetrics,
  TrainingService,
} from "../services.ts";
import { generatedName, makeDirectory, nameTaken } from "./job_directory.ts";
import { isOver, Journal, type JournalListeners } from "./journal.ts";
import { JobRun, type MakeTrainer, MAX_ATTEMPTS, type Outcome } from "./job_run.ts";
import { checkConfig, trainRequest } from "./request.ts";
import { findCheckpoint, findCheckpointFile, findCheckpoints, removeCheckpoint } from "./run_files.ts";
import type { JobConfig } from "./schemas.ts";
import { type JobPatch, type JobRecord, JobStore } from "./store.ts";
import { entryOf, type ReportedEvent } from "./trainer_events.ts";

/** How jobs are run. */
export interface TrainingJobsOptions extends JournalListeners {
  /** Directory of all runs; a job's is the one of its id. */
  readonly runs: string;
  /** File of the database. */
  readonly database: string;
  /** Where device threads take turns; left out: a job has the device to itself. */
  readonly turns?: SharedArrayBuffer;
  /** Directory that compiled programs are reported to; left out: they are not. */
  readonly programs?: string;
  /** Milliseconds of work that may be lost, besides those of a step; two minutes by default. */
  readonly autosaveMs?: number;
  /** Milliseconds for which an automatic checkpoint stays beside a newer one, for those who are reading it; a minute. */
  readonly autosaveGraceMs?: number;
  /** Jobs that may wait; 100 by default. */
  readonly maxQueued?: number;
  /** Starts trainers; by default each is a Worker of its own. */
  readonly makeTrainer?: MakeTrainer;
}

/** The job that has the device. */
interface Current {
  readonly id: string;
  readonly run: JobRun;
  /** Resolves when what followed its end has been written. */
  readonly settled: Promise<void>;
  /** What it becomes when it stops. */
  next: JobState;
  /** Steps of its newest checkpoint. */
  savedStep: number;
  /** An automatic checkpoint has been asked for. */
  isSaving: boolean;
}

const AUTOSAVE_MS = 120_000;
const AUTOSAVE_GRACE_MS = 60_000;
const MAX_QUEUED = 100;
/** Time until something that could not be written down is tried again, in milliseconds. */
const RETRY_MS = 1000;

/** Training jobs of one server. */
export class TrainingJobs implements TrainingService {
  readonly #journal: Journal;
  readonly #autosaver: ReturnType<typeof setInterval>;
  /** Removals of checkpoints that are still to come. */
  readonly #removals = new Set<() => Promise<void>>();
  #current?: Current;
  #isClosing = false;

  private constructor(private readonly store: JobStore, private readonly options: TrainingJobsOptions) {
    this.#journal = new Journal(store, options);
    this.#autosaver = setInterval(() => this.#autosave(), options.autosaveMs ?? AUTOSAVE_MS);
  }

  /**
   * Opens the database and goes on with what it says.
   *
   * @throws {InputError} when it cannot be used: it is damaged, of a newer version, or another server has it.
   */
  static async open(options: TrainingJobsOptions): Promise<TrainingJobs> {
    await Deno.mkdir(options.runs, { recursive: true });
    const jobs = new TrainingJobs(new JobStore(options.database), options);
    for (const { id } of jobs.store.list({ states: ["running"] })) {
      jobs.#enter(id, "queued", {}, { reason: "the server was started again" });
    }
    jobs.#startNext();
    return jobs;
  }

  /**
   * Has the running job save, and ends; it goes on when the database is opened again.
   *
   * @param withinMs After this time the job is ended without saving.
   */
  async close({ withinMs = 60_000 }: { readonly withinMs?: number } = {}): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#autosaver);
    const current = this.#current;
    if (current) {
      if (current.next === "running") current.next = "queued";
      current.run.stop();
      const timer = setTimeout(() => current.run.kill(), withinMs);
      await current.settled;
      clearTimeout(timer);
    }
    await Promise.all([...this.#removals].map((remove) => remove()));
    this.#journal.close();
    this.store.close();
  }

  create(given: Readonly<Record<string, unknown>>): Promise<Job> {
    return Promise.try(() => {
      const config = checkConfig(given);
      const { maxQueued = MAX_QUEUED } = this.options;
      if (this.#isClosing) throw new ApiError(503, "shutting_down", "The server is shutting down.");
      if (this.store.counts().queued >= maxQueued) {
        const message = `${maxQueued} jobs wait already; cancel one, or try again when one has ended.`;
        throw new ApiError(429, "queue_full", message, { retryAfter: 60 });
      }
      const id = config.name ?? generatedName(new Date());
      this.store.transaction(() => {
        if (this.store.get(id)) throw nameTaken(id);
        this.store.insert(id, now(), given);
        makeDirectory(this.#directory(id), id);
      });
      this.#enter(id, "queued");
      this.#startNext();
      return this.get(id);
    });
  }

  list({ after, limit, states }: JobQuery = {}): readonly Job[] {
    if (after !== undefined) this.#record(after);
    return this.store.list({ after, limit, states }).map((record) => this.#view(record));
  }

  counts(): Readonly<Record<JobState, number>> {
    return this.store.counts();
  }

  get(id: string): Job {
    return this.#view(this.#record(id));
  }

  async pause(id: string): Promise<Job> {
    this.#demand(id, ["queued", "running"], "paused");
    return await this.#leave(id, "paused", (run) => run.stop());
  }

  resume(id: string): Promise<Job> {
    return Promise.try(() => {
      this.#demand(id, ["paused", "failed"], "resumed");
      this.#enter(id, "queued", { turn: this.store.lastTurn() + 1, endedAt: null, error: null });
      this.#startNext();
      return this.get(id);
    });
  }

  async cancel(id: string): Promise<Job> {
    this.#demand(id, ["queued", "running", "paused"], "cancelled");
    return await this.#leave(id, "cancelled", (run) => run.discard());
  }

  async checkpoint(id: string): Promise<JobCheckpoint> {
    this.#demand(id, ["running"], "saved");
    const step = await this.#run().save();
    this.#journal.flush();
    if (this.#record(id).autosave === step) {
      this.#journal.write(id, notice(`step ${step} is kept`, { autosave: null }));
    }
    const found = await findCheckpoint(this.#directory(id), step);
    if (found) return found;
    throw new ApiError(409, "checkpoint_removed", `The checkpoint of step ${step} was removed at once.`);
  }

  async sample(
    id: string,
    { prompt, maxTokens }: { readonly prompt: string; readonly maxTokens: number },
  ): Promise<string> {
    this.#demand(id, ["running"], "asked for a sample");
    const { step, text } = await this.#run().sample(prompt, maxTokens);
    this.#journal.write(id, { time: now(), kind: "sample", data: { step, text, prompt } });
    return text;
  }

  events(id: string, query: EventQuery): readonly JobEvent[] {
    this.#record(id);
    return this.store.events(id, query);
  }

  follow(id: string, after: number, signal: AbortSignal): AsyncIterable<JobEvent> {
    this.#record(id);
    return this.#journal.follow(id, after, signal);
  }

  metrics(
    id: string,
    query: { readonly after?: number; readonly limit?: number },
  ): readonly StepMetrics[] {
    this.#record(id);
    return this.store.metrics(id, query);
  }

  async checkpoints(id: string): Promise<readonly JobCheckpoint[]> {
    this.#record(id);
    return await findCheckpoints(this.#directory(id));
  }

  async checkpointFile(id: string, step: number, name: string): Promise<string> {
    this.#record(id);
    const path = await findCheckpointFile(this.#directory(id), step, name);
    if (path !== undefined) return path;
    const message = `Job ${id} has no such file of step ${step}; ` +
      `GET /v1/training/jobs/${id}/checkpoints lists what there is.`;
    throw new ApiError(404, "unknown_file", message);
  }

  #run(): JobRun {
    if (this.#current) return this.#current.run;
    throw new ApiError(409, "job_not_running", "The job is about to end.");
  }

  #startNext(): void {
    if (this.#current || this.#isClosing) return;
    try {
      const job = this.store.first();
      if (job) this.#start(job);
    } catch (problem) {
      this.options.onProblem?.(problem);
      setTimeout(() => this.#startNext(), RETRY_MS);
    }
  }

  #start({ id, config, startedAt }: JobRecord): void {
    const { turns, makeTrainer } = this.options;
    this.#enter(id, "running", { startedAt: startedAt ?? now() });
    const run = new JobRun({
      request: { ...trainRequest(config as JobConfig, this.#directory(id)), programs: this.options.programs },
      turns,
      makeTrainer,
      onEvent: (event) => this.#note(id, event),
      onLost: (message, attempt) => {
        const data = { message: this.#public(message), attempt, attempts: MAX_ATTEMPTS };
        this.#journal.write(id, { time: now(), kind: "deviceLost", data });
      },
    });
    const settled = run.over.then((outcome) => this.#end(id, outcome));
    this.#current = {
      id,
      run,
      settled,
      next: "running",
      savedStep: -1,
      isSaving: false,
    };
  }

  async #end(id: string, outcome: Outcome): Promise<void> {
    for (;;) {
      try {
        this.#enterAfter(id, outcome, this.#current!.next);
        break;
      } catch (problem) {
        // The disk is full, perhaps. Until this is written nothing else may start.
        this.options.onProblem?.(problem);
        if (this.#isClosing) break;
        await delay(RETRY_MS);
      }
    }
    this.#current = undefined;
    this.#startNext();
  }

  #enterAfter(id: string, outcome: Outcome, next: JobState): void {
    if (outcome.kind === "finished") this.#enter(id, "finished");
    else if (outcome.kind === "failed" && next !== "cancelled") {
      this.#enter(id, "failed", { error: this.#public(outcome.message) });
    } else this.#enter(id, next);
  }

  /** Writes that a job has entered a state. */
  #enter(
    id: string,
    state: JobState,
    patch: JobPatch = {},
    facts: Readonly<Record<string, unknown>> = {},
  ): void {
    const time = now();
    const { error } = patch;
    const data = { state, ...facts, ...error ? { error } : {} };
    const ended = isOver(state) ? { endedAt: time } : {};
    this.#journal.write(id, { time, kind: "state", data, patch: { ...ended, ...patch, state } });
  }

  /** Takes a job out of the queue, or off the device. */
  async #leave(id: string, state: "paused" | "cancelled", stop: (run: JobRun) => void): Promise<Job> {
    const current = this.#current;
    if (current?.id !== id) {
      this.#enter(id, state);
      return this.get(id);
    }
    if (current.next !== "cancelled") current.next = state;
    stop(current.run);
    await current.settled;
    const job = this.get(id);
    if (job.state === state) return job;
    throw new ApiError(409, "wrong_state", `Job ${id} is ${job.state}: that came first.`);
  }

  /** Takes down an event of the running job's trainer. */
  #note(id: string, event: ReportedEvent): void {
    const shown = "message" in event ? { ...event, message: this.#public(event.message) } : event;
    const entry = entryOf(shown, now());
    if (event.kind === "checkpoint") this.#dropAutosave(id, event.step);
    if (event.kind === "plan") this.#current!.savedStep = event.resumedFrom;
    this.#journal.gather(id, entry);
  }

  /** A newer checkpoint is there: the one that was made for safety's sake has served. */
  #dropAutosave(id: string, step: number): void {
    const current = this.#current!;
    current.savedStep = step;
    const { autosave } = this.#record(id);
    if (autosave === null || autosave === step) return;
    this.#journal.gather(
      id,
      notice(`the automatic checkpoint of step ${autosave} is removed`, { autosave: null }),
    );
    const remove = async () => {
      clearTimeout(timer);
      this.#removals.delete(remove);
      await removeCheckpoint(this.#directory(id), autosave).catch((problem) =>
        this.options.onProblem?.(problem)
      );
    };
    const timer = setTimeout(remove, this.options.autosaveGraceMs ?? AUTOSAVE_GRACE_MS);
    this.#removals.add(remove);
  }

  async #autosave(): Promise<void> {
    const current = this.#current;
    if (!current || current.next !== "running" || current.isSaving) return;
    const { id, run } = current;
    const { step, plan } = this.#record(id);
    if (!plan || step <= current.savedStep) return;
    current.isSaving = true;
    try {
      const saved = await run.save();
      const isWanted = Number(plan.saveEvery) > 0 && saved % Number(plan.saveEvery) === 0;
      if (!isWanted && saved !== plan.steps) {
        this.#journal.write(id, notice(`step ${saved} was saved for safety`, { autosave: saved }));
      }
    } catch {
      // The run has ended or lost its device: either way its events say so.
    } finally {
      current.isSaving = false;
    }
  }

  #directory(id: string): string {
    return join(this.options.runs, id);
  }

  #record(id: string): JobRecord {
    const record = this.store.get(id);
    if (record) return record;
    throw new ApiError(
      404,
      "unknown_job",
      `There is no job ${id.slice(0, 100)}; GET /v1/training/jobs lists them.`,
    );
  }

  #demand(id: string, states: readonly JobState[], what: string): void {
    const { state } = this.#record(id);
    if (states.includes(state)) return;
    const message = `Job ${id} is ${state}; only a job that is ${states.join(" or ")} can be ${what}.`;
    throw new ApiError(409, "wrong_state", message);
  }

  #view(record: JobRecord): Job {
    const { id, state, createdAt, config, step, turn } = record;
    const optional = {
      startedAt: record.startedAt,
      endedAt: record.endedAt,
      plan: record.plan,
      steps: record.steps ?? (config as JobConfig).steps,
      loss: record.loss,
      validationLoss: record.validationLoss,
      tokensPerSecond: record.tokensPerSecond,
      error: record.error,
    };
    const known = Object.entries(optional).filter(([, value]) => value !== null && value !== undefined);
    const position = state === "queued" ? { position: this.store.position(turn) } : {};
    return { id, state, ...position, createdAt, config, step, ...Object.fromEntries(known) };
  }

  /** Clients are not told where the runs lie. */
  #public(message: string): string {
    return message.replaceAll(`${this.options.runs}/`, "");
  }
}

function now(): string {
  return new Date().toISOString();
}

function notice(text: string, patch: JobPatch) {
  return { time: now(), kind: "notice", data: { text }, patch };
}
