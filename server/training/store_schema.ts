/**
 * Tables of the jobs' database, and how an older one becomes the newest. `user_version` counts the steps that a database has
 * taken; a database that has taken more than this program knows is refused rather than misread.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { InputError } from "../../model/errors.ts";

/** "Sint": marks the file as ours, so that another program's database is not written to. */
const APPLICATION_ID = 0x53696e74;

/** Each brings a database one version further. They are never changed, only followed by others. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'finished', 'failed', 'cancelled')),
    turn INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    config TEXT NOT NULL,
    plan TEXT,
    step INTEGER NOT NULL,
    steps INTEGER,
    loss REAL,
    validation_loss REAL,
    tokens_per_second REAL,
    error TEXT,
    autosave INTEGER,
    last_event INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX jobs_by_turn ON jobs (state, turn);
  CREATE INDEX jobs_turns ON jobs (turn);
  CREATE TABLE events (
    job INTEGER NOT NULL REFERENCES jobs (seq),
    id INTEGER NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (job, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX events_by_kind ON events (job, kind, id);
  CREATE TABLE metrics (
    job INTEGER NOT NULL REFERENCES jobs (seq),
    step INTEGER NOT NULL,
    loss REAL,
    learning_rate REAL,
    grad_norm REAL,
    tokens_per_second REAL,
    ms REAL,
    loss_scale REAL,
    validation_loss REAL,
    PRIMARY KEY (job, step)
  ) STRICT, WITHOUT ROWID;
  `,
];

/**
 * Makes the tables of a new database, or brings an old one up to date, in one transaction.
 *
 * @throws {InputError} when it is another program's, or of a newer version of this one.
 */
export function migrate(database: DatabaseSync, path: string): void {
  const pragma = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = pragma("user_version");
    const owner = pragma("application_id");
    const { count } = database.prepare("SELECT COUNT(*) AS count FROM sqlite_schema").get()!;
    if (owner !== APPLICATION_ID && Number(count) > 0) {
      throw new InputError(path, "not a database of jobs", "name another file, or move it away");
    }
    if (version > MIGRATIONS.length) {
      throw new InputError(
        path,
        `written by a newer version (schema ${version}, this one knows ${MIGRATIONS.length})`,
        "update this program, or name another file",
      );
    }
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`);
    database.exec("COMMIT");
  } catch (problem) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw problem;
  }
}
