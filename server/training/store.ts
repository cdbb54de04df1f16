/**
 * The jobs' memory: an SQLite database of jobs, their events and the figures of their steps. Whatever belongs together
 * is written in one transaction, so a process that is killed at any moment leaves all of it or none.
 *
 * The journal is a write-ahead log that is synced when it is folded into the database, not at every commit: a process that
 * dies loses nothing, a machine that loses power may lose the last moments, and neither damages the database.
 *
 * @module
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { JobEvent, JobState, StepMetrics } from "../services.ts";
import { InputError } from "../../model/errors.ts";
import { migrate } from "./store_schema.ts";

/** A job as it is kept. */
export interface JobRecord {
  readonly id: string;
  readonly state: JobState;
  /** Place in the queue, smaller first; 0 unless it is queued or runs. */
  readonly turn: number;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly plan: Readonly<Record<string, unknown>> | null;
  readonly step: number;
  readonly steps: number | null;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly tokensPerSecond: number | null;
  readonly error: string | null;
  /** Step of the newest checkpoint that was made for safety's sake alone, and goes when there is a newer one. */
  readonly autosave: number | null;
}

/** What changes in a job. */
export type JobPatch = Partial<Omit<JobRecord, "id" | "createdAt" | "config">>;

/** Something to write down. */
export interface Entry {
  /** ISO 8601. */
  readonly time: string;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Fields of the job that change with it. */
  readonly patch?: JobPatch;
  /** Figures of the step that it tells of. */
  readonly metrics?: StepMetrics;
  /** Validation of a step whose figures are there. */
  readonly validation?: { readonly step: number; readonly loss: number | null };
}

type Row = Record<string, unknown>;

const COLUMNS = {
  state: "state",
  turn: "turn",
  startedAt: "started_at",
  endedAt: "ended_at",
  plan: "plan",
  step: "step",
  steps: "steps",
  loss: "loss",
  validationLoss: "validation_loss",
  tokensPerSecond: "tokens_per_second",
  error: "error",
  autosave: "autosave",
} as const satisfies Record<keyof JobPatch, string>;

/** The database of jobs. All calls are short: what can be long is asked for in pages. */
export class JobStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens the database, and makes it or brings it up to date first.
   *
   * @param path Its file; `:memory:` keeps it in memory.
   * @throws {InputError} when it is of a newer version, no database of jobs, or another process has it.
   */
  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path);
    } catch (problem) {
      throw unusable(path, problem);
    }
    try {
      // The lock goes with the process, however it ends.
      this.#database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL");
      this.#database.exec("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
      migrate(this.#database, path);
    } catch (problem) {
      this.#database.close();
      throw unusable(path, problem);
    }
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }

  /** Adds a job at the end of the queue. */
  insert(id: string, createdAt: string, config: Readonly<Record<string, unknown>>): void {
    this.#run(
      "INSERT INTO jobs (id, state, turn, created_at, config, step) VALUES (?, 'queued', ?, ?, ?, 0)",
      id,
      this.lastTurn() + 1,
      createdAt,
      JSON.stringify(config),
    );
  }

  /** A job; undefined when there is none. */
  get(id: string): JobRecord | undefined {
    const row = this.#one("SELECT * FROM jobs WHERE id = ?", id);
    return row && recordFrom(row);
  }

  /**
   * Jobs, newest first.
   *
   * @param after Only those older than this one.
   */
  list(
    { after, limit = -1, states }: {
      readonly after?: string;
      readonly limit?: number;
      readonly states?: readonly JobState[];
    },
  ): JobRecord[] {
    const conditions = [
      ...after === undefined ? [] : ["seq < (SELECT seq FROM jobs WHERE id = ?)"],
      ...states ? [`state IN (${states.map(() => "?").join()})`] : [],
    ];
    const where = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
    const values = [...after === undefined ? [] : [after], ...states ?? [], limit];
    return this.#all(`SELECT * FROM jobs ${where} ORDER BY seq DESC LIMIT ?`, ...values).map(recordFrom);
  }

  /** Jobs by state. */
  counts(): Record<JobState, number> {
    const counts = { queued: 0, running: 0, paused: 0, finished: 0, failed: 0, cancelled: 0 };
    for (const row of this.#all("SELECT state, COUNT(*) AS count FROM jobs GROUP BY state")) {
      counts[row.state as JobState] = Number(row.count);
    }
    return counts;
  }

  /** The job whose turn it is. */
  first(): JobRecord | undefined {
    const row = this.#one("SELECT * FROM jobs WHERE state = 'queued' ORDER BY turn LIMIT 1");
    return row && recordFrom(row);
  }

  /** Place in the queue, counted from 1, of a job with this turn. */
  position(turn: number): number {
    return Number(
      this.#one("SELECT COUNT(*) AS count FROM jobs WHERE state = 'queued' AND turn <= ?", turn)!.count,
    );
  }

  /** The largest turn that is in use; 0 when there is none. */
  lastTurn(): number {
    return Number(this.#one("SELECT MAX(turn) AS turn FROM jobs")!.turn ?? 0);
  }

  /** Writes down what happened to a job, all of it or nothing. Its events get the next ids. */
  append(id: string, entries: readonly Entry[]): JobEvent[] {
    return this.transaction(() => {
      const { seq, last_event: last } = this.#one("SELECT seq, last_event FROM jobs WHERE id = ?", id)!;
      let next = Number(last);
      let patch: JobPatch = {};
      const events = entries.map(({ time, kind, data, ...more }) => {
        next++;
        this.#run(
          "INSERT INTO events (job, id, time, kind, data) VALUES (?, ?, ?, ?, ?)",
          Number(seq),
          next,
          time,
          kind,
          JSON.stringify(data),
        );
        if (more.metrics) this.#writeMetrics(Number(seq), more.metrics);
        if (more.validation) {
          const { step, loss } = more.validation;
          this.#run(
            "UPDATE metrics SET validation_loss = ? WHERE job = ? AND step = ?",
            loss,
            Number(seq),
            step,
          );
        }
        patch = { ...patch, ...more.patch };
        return { id: next, time, kind, data };
      });
      this.#run("UPDATE jobs SET last_event = ? WHERE seq = ?", next, Number(seq));
      this.#patch(Number(seq), patch);
      return events;
    });
  }

  /** Events of a job, oldest first. */
  events(
    id: string,
    { after = 0, limit = -1, kinds }: {
      readonly after?: number;
      readonly limit?: number;
      readonly kinds?: readonly string[];
    },
  ): JobEvent[] {
    const where = "WHERE job = (SELECT seq FROM jobs WHERE id = ?)";
    const end = "AND id > ? ORDER BY id LIMIT ?";
    // Kind by kind each is a walk along an index, however many others lie between.
    const rows = kinds
      ? [...new Set(kinds)].flatMap((kind) =>
        this.#all(
          `SELECT id, time, kind, data FROM events INDEXED BY events_by_kind ${where} AND kind = ? ${end}`,
          id,
          kind,
          after,
          limit,
        )
      )
      : this.#all(`SELECT id, time, kind, data FROM events ${where} ${end}`, id, after, limit);
    if (kinds) rows.sort((a, b) => Number(a.id) - Number(b.id)).splice(limit < 0 ? rows.length : limit);
    return rows.map((row) => ({
      id: Number(row.id),
      time: String(row.time),
      kind: String(row.kind),
      data: JSON.parse(String(row.data)),
    }));
  }

  /** Figures of a job's steps, oldest first. */
  metrics(
    id: string,
    { after = 0, limit = -1 }: { readonly after?: number; readonly limit?: number },
  ): StepMetrics[] {
    const rows = this.#all(
      "SELECT * FROM metrics WHERE job = (SELECT seq FROM jobs WHERE id = ?) AND step > ? ORDER BY step LIMIT ?",
      id,
      after,
      limit,
    );
    return rows.map((row) => ({
      step: Number(row.step),
      loss: row.loss as number | null,
      learningRate: row.learning_rate as number | null,
      gradNorm: row.grad_norm as number | null,
      tokensPerSecond: row.tokens_per_second as number | null,
      ms: row.ms as number | null,
      ...row.loss_scale === null ? {} : { lossScale: row.loss_scale as number },
      ...row.validation_loss === null ? {} : { validationLoss: row.validation_loss as number },
    }));
  }

  /** Runs `work`, and keeps what it wrote if it returns, nothing of it if it throws. */
  transaction<T>(work: () => T): T {
    if (this.#database.isTransaction) return work();
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (problem) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw problem;
    }
  }

  #writeMetrics(
    job: number,
    { step, loss, learningRate, gradNorm, tokensPerSecond, ms, lossScale }: StepMetrics,
  ) {
    this.#run(
      "INSERT OR REPLACE INTO metrics (job, step, loss, learning_rate, grad_norm, tokens_per_second, ms, loss_scale) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      job,
      step,
      loss,
      learningRate,
      gradNorm,
      tokensPerSecond,
      ms,
      lossScale ?? null,
    );
  }

  #patch(seq: number, patch: JobPatch): void {
    for (const [field, value] of Object.entries(patch)) {
      if (value === undefined) continue;
      const column = COLUMNS[field as keyof JobPatch];
      const stored = typeof value === "object" && value !== null ? JSON.stringify(value) : value;
      this.#run(`UPDATE jobs SET ${column} = ? WHERE seq = ?`, stored, seq);
    }
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepare(sql).run(...values);
  }

  #one(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }
}

function unusable(path: string, problem: unknown): unknown {
  if (!(problem instanceof Error) || problem instanceof InputError) return problem;
  if (/database is locked/.test(problem.message)) {
    return new InputError(path, "another server has these runs", "end it, or name another folder for runs");
  }
  return new InputError(path, `cannot be used (${problem.message})`, "move it away, or name another file");
}

function recordFrom(row: Row): JobRecord {
  const optional = <T>(name: string) => row[name] as T | null;
  return {
    id: String(row.id),
    state: row.state as JobState,
    turn: Number(row.turn),
    createdAt: String(row.created_at),
    startedAt: optional("started_at"),
    endedAt: optional("ended_at"),
    config: JSON.parse(String(row.config)),
    plan: row.plan === null ? null : JSON.parse(String(row.plan)),
    step: Number(row.step),
    steps: optional("steps"),
    loss: optional("loss"),
    validationLoss: optional("validation_loss"),
    tokensPerSecond: optional("tokens_per_second"),
    error: optional("error"),
    autosave: optional("autosave"),
  };
}
