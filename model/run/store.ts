/**
 * The list of runs: a SQLite database beside the runs' folders, with a row for each. It is an index: whatever is in it is in the
 * folders too, and a run goes on if it cannot be written.
 *
 * @module
 */
import { basename, dirname, join } from "@std/path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { InputError } from "../errors.ts";
import type { PlanEvent, TrainerEvent } from "../messages.ts";
import { tokensPerStep } from "../run_options.ts";
import type { MetricsLine } from "./metrics.ts";
import type { Sink } from "./sinks.ts";

/** Name of the database in the folder that holds the runs. */
export const STORE_FILE = "runs.sqlite";

/** What became of a run, as far as it was written down. */
export const RUN_STATES = ["running", "finished", "stopped", "early-stop", "failed"] as const;
/** One of {@link RUN_STATES}, or what a run is that was never listed. */
export type RunState = (typeof RUN_STATES)[number] | "unlisted" | "damaged";

/** "SinR": marks the file as ours, so that another program's database is not written to. */
const APPLICATION_ID = 0x53696e52;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS runs (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  started_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  pid INTEGER NOT NULL,
  adapter TEXT NOT NULL,
  preset TEXT NOT NULL,
  parameters INTEGER NOT NULL,
  data TEXT NOT NULL,
  init_from TEXT,
  dtype TEXT NOT NULL,
  seed INTEGER NOT NULL,
  steps INTEGER NOT NULL,
  tokens_per_step INTEGER NOT NULL,
  step INTEGER NOT NULL,
  loss REAL,
  validation_loss REAL,
  best_loss REAL,
  best_step INTEGER,
  hellaswag REAL,
  alarm TEXT,
  message TEXT
) STRICT;
`;

/** Columns that a run's row shows. */
export type RunRow = Readonly<Record<string, SQLOutputValue>> & {
  readonly name: string;
  readonly state: RunState;
  readonly step: number;
  readonly steps: number | null;
};

/** Path of the database that a run's folder is listed in. */
export function storePath(run: string): string {
  return join(dirname(run), STORE_FILE);
}

/**
 * Opens a database of runs.
 *
 * @throws {InputError} when it is another program's, or of a newer version of this one.
 */
function openStore(path: string, readOnly = false): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly, timeout: 5000 });
  try {
    const pragma = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
    const { count } = database.prepare("SELECT COUNT(*) AS count FROM sqlite_schema").get()!;
    if (Number(count) > 0 && pragma("application_id") !== APPLICATION_ID) {
      throw new InputError(path, "not a list of runs", "move it away");
    }
    if (pragma("user_version") > SCHEMA_VERSION) {
      throw new InputError(path, "written by a newer version of this program", "update the program");
    }
    if (readOnly) return database;
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${SCHEMA}
      PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
    return database;
  } catch (problem) {
    database.close();
    throw problem;
  }
}

/** Rows of all runs in a folder, newest start first; none when nothing has been listed there. */
export function listRuns(directory: string): RunRow[] {
  const path = join(directory, STORE_FILE);
  try {
    Deno.statSync(path);
  } catch {
    return [];
  }
  const database = openStore(path, true);
  try {
    return database.prepare("SELECT * FROM runs ORDER BY started_at DESC, name").all() as RunRow[];
  } finally {
    database.close();
  }
}

/** Columns that follow from a run's figures. */
function figuresOf(lines: readonly MetricsLine[]): Record<string, number | null> {
  const last = (name: string) => {
    const value = lines.findLast((line) => typeof line[name] === "number")?.[name];
    return typeof value === "number" ? value : null;
  };
  const validations = lines.flatMap(({ step, valLoss }) =>
    typeof valLoss === "number" ? [{ step, valLoss }] : []
  );
  const [best] = validations.toSorted((a, b) => a.valLoss - b.valLoss);
  return {
    loss: last("loss"),
    validation_loss: last("valLoss"),
    best_loss: best?.valLoss ?? null,
    best_step: best?.step ?? null,
    hellaswag: last("accNorm"),
  };
}

/**
 * Brings the row of a run that does not run now up to its figures; nothing happens where it has no row.
 *
 * @param lines All of its figures.
 */
export function refreshRun(run: string, lines: readonly MetricsLine[]): void {
  const path = storePath(run);
  const name = basename(run);
  if (!listRuns(dirname(run)).some((row) => row.name === name)) return;
  const database = openStore(path);
  try {
    const figures = figuresOf(lines);
    const columns = Object.keys(figures).map((column) => `${column} = :${column}`).join(", ");
    database.prepare(`UPDATE runs SET ${columns} WHERE name = :name AND state <> 'running'`).run({
      ...figures,
      name,
    });
  } finally {
    database.close();
  }
}

/** Between two updates of a row because of steps, in milliseconds. */
const UPDATE_MS = 1000;

/** Keeps the row of one run. */
export class RunStore implements Sink {
  readonly name = STORE_FILE;
  readonly #database: DatabaseSync;
  readonly #run: string;
  #updated = -Infinity;
  #lastStep: Readonly<Record<string, number>> | undefined;

  /**
   * Writes the run's row, or brings it up to date when the run goes on.
   *
   * @param earlier The figures of the steps that are done.
   */
  constructor(event: PlanEvent, earlier: readonly MetricsLine[]) {
    const { out, plan, adapter, parameters, resumedFrom } = event;
    this.#run = basename(out);
    this.#database = openStore(storePath(out));
    const time = new Date().toISOString();
    const row = {
      name: this.#run,
      state: "running",
      started_at: time,
      updated_at: time,
      pid: Deno.pid,
      adapter: adapter.name,
      preset: plan.preset,
      parameters,
      data: plan.data,
      init_from: plan.initFrom ?? null,
      dtype: plan.dtype,
      seed: plan.seed,
      steps: plan.steps,
      tokens_per_step: tokensPerStep(plan),
      step: resumedFrom,
      ...figuresOf(earlier),
      alarm: null,
      message: null,
    };
    if (resumedFrom === 0) this.#database.prepare("DELETE FROM runs WHERE name = ?").run(this.#run);
    const names = Object.keys(row);
    const updates = names.filter((name) => name !== "name" && name !== "started_at");
    this.#database.prepare(
      `INSERT INTO runs (${names.join(", ")}) VALUES (${names.map((name) => `:${name}`).join(", ")})
       ON CONFLICT (name) DO UPDATE SET ${updates.map((name) => `${name} = :${name}`).join(", ")}`,
    ).run(row);
  }

  note(event: TrainerEvent): void {
    switch (event.kind) {
      case "step": {
        const { step, loss } = event;
        this.#lastStep = { step, ...Number.isFinite(loss) && { loss } };
        if (performance.now() - this.#updated < UPDATE_MS) return;
        this.#updated = performance.now();
        return this.#flush();
      }
      case "validation":
        this.#flush({ validation_loss: event.loss });
        return void this.#database.prepare(
          `UPDATE runs SET best_loss = :loss, best_step = :step
           WHERE name = :name AND (best_loss IS NULL OR best_loss > :loss)`,
        ).run({ name: this.#run, loss: event.loss, step: event.step });
      case "evaluation":
        return this.#flush({ hellaswag: event.accNorm });
      case "alarm":
        return this.#flush({ alarm: event.text });
      case "end":
        return this.#flush({ state: event.reason, step: event.step });
      case "failure":
        return this.#flush({ state: "failed", message: event.message });
    }
  }

  sync(): void {
    this.#flush();
  }

  close(): void {
    this.#database.close();
  }

  #flush(values: Readonly<Record<string, string | number>> = {}): void {
    const all = { ...this.#lastStep, ...values, updated_at: new Date().toISOString() };
    const names = Object.keys(all);
    this.#database.prepare(
      `UPDATE runs SET ${names.map((name) => `${name} = :${name}`).join(", ")} WHERE name = :name`,
    )
      .run({ ...all, name: this.#run });
  }
}
