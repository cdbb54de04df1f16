/**
 * `deno task runs`: the runs in a folder, and how far each of them is; or one run with its validations and checkpoints.
 *
 * @module
 */
import { basename, join } from "@std/path";
import { CheckpointError, listCheckpoints, readCheckpointHead } from "../checkpoint.ts";
import { InputError } from "../errors.ts";
import { type MetricsLine, readMetrics } from "../run/metrics.ts";
import { readRunFile } from "../run/run_file.ts";
import { listRuns, type RunRow } from "../run/store.ts";
import { runCommand } from "./exit.ts";
import { type Flags, helpText, parseFlags } from "./flags.ts";
import { userPath } from "./paths.ts";
import { count, table } from "./text.ts";

const FLAGS = {
  "dir": { kind: "text", metavar: "DIR", help: "Folder that holds the runs; left out: runs." },
  "run": {
    kind: "text",
    metavar: "NAME",
    help: "Show this run alone, with its validations and checkpoints.",
  },
  "json": { kind: "switch", help: "Write JSON." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const USAGE = "deno task runs [flags]";
const ABOUT = "Lists training runs, the newest first.";

/** A run without a sign of life for so long may have been killed, in milliseconds. */
const SILENT_MS = 15 * 60_000;
/** Validations of one run that are shown to people. */
const MOST_LINES = 20;

async function main(args: readonly string[]): Promise<number> {
  const values = parseFlags(FLAGS, args);
  if (values.help) {
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  const directory = values.dir === undefined ? "runs" : userPath(values.dir);
  const rows = await allRuns(directory);
  if (values.run !== undefined) return await showRun(directory, values.run, rows, values.json === true);
  if (values.json) { for (const row of rows) console.log(JSON.stringify(row)); }
  else if (rows.length === 0) console.log(`no runs in ${directory}; begin one with deno task train`);
  else console.log(table(HEADINGS, rows.map(cells)));
  return 0;
}

const HEADINGS = [
  "run",
  "state",
  "step",
  "loss",
  "validation",
  "best",
  "hellaswag",
  "data",
  "parameters",
  "last sign",
];

function cells(row: RunRow): string[] {
  const number = (value: unknown, digits = 4) => typeof value === "number" ? value.toFixed(digits) : "";
  const best = typeof row.best_loss === "number" ? `${number(row.best_loss)} at ${row.best_step}` : "";
  return [
    row.name,
    stateText(row),
    `${row.step}/${row.steps ?? "?"}`,
    number(row.loss, 3),
    number(row.validation_loss),
    best,
    number(row.hellaswag),
    String(row.data ?? ""),
    typeof row.parameters === "number" ? count(row.parameters) : "",
    row.updated_at ? `${ago(Date.now() - Date.parse(String(row.updated_at)))} ago` : "",
  ];
}

function stateText({ state, updated_at: updated, alarm }: RunRow): string {
  const isSilent = state === "running" && Date.now() - Date.parse(String(updated)) > SILENT_MS;
  return `${state}${isSilent ? "?" : ""}${alarm ? " ALARM" : ""}`;
}

function ago(ms: number): string {
  const units: [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]];
  const [unit, size] = units.find(([, size]) => ms >= size) ?? ["s", 1000];
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

/** Rows of the list, and of runs that are not in it: imported models, copies from elsewhere. */
async function allRuns(directory: string): Promise<RunRow[]> {
  const rows = listRuns(directory);
  const listed = new Set(rows.map(({ name }) => name));
  const others: RunRow[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      if (!isDirectory || listed.has(name)) continue;
      const [newest] = await listCheckpoints(join(directory, name));
      if (newest) others.push(await unlisted(name, newest));
    }
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) {
      throw new InputError(
        `--dir ${directory}`,
        `cannot be read (${(problem as Error).message})`,
        "name a folder of runs",
      );
    }
  }
  return [...rows, ...others.sort((a, b) => a.name < b.name ? -1 : 1)];
}

async function unlisted(name: string, newest: string): Promise<RunRow> {
  try {
    const { step, savedAt } = await readCheckpointHead(newest);
    return { name, state: "unlisted", step, steps: null, updated_at: savedAt.toISOString() };
  } catch (problem) {
    if (!(problem instanceof CheckpointError)) throw problem;
    return { name, state: "damaged", step: 0, steps: null, message: problem.message };
  }
}

async function showRun(
  directory: string,
  name: string,
  rows: readonly RunRow[],
  json: boolean,
): Promise<number> {
  const row = rows.find((row) => row.name === name);
  if (!row) {
    const known = rows.slice(0, 5).map(({ name }) => name).join(", ");
    throw new InputError(
      `--run ${name}`,
      `there is no such run in ${directory}`,
      known ? `there are ${known}` : "begin one",
    );
  }
  const path = join(directory, name);
  const record = await readRunFile(path);
  const figures = (await readMetrics(path)).filter(({ event }) => event !== "step" && event !== "sample");
  const checkpoints = (await listCheckpoints(path)).map((path) => basename(path)).reverse();
  if (json) {
    console.log(JSON.stringify({ ...row, path, record, checkpoints, figures }, null, 2));
    return 0;
  }
  console.log(table(HEADINGS, [cells(row)]));
  if (row.message) console.log(`\n${row.message}`);
  if (figures.length > 0) console.log(`\n${figures.slice(-MOST_LINES).map(figureText).join("\n")}`);
  if (checkpoints.length > 0) console.log(`\ncheckpoints in ${path}: ${checkpoints.join(", ")}`);
  return 0;
}

function figureText({ event, step, ...facts }: MetricsLine): string {
  const { valLoss, reference, text, correct, correctNorm, count: examples } = facts;
  const fixed = (value: unknown) => typeof value === "number" ? value.toFixed(4) : "not a number";
  if (event === "validation") {
    return `step ${step}: validation loss ${fixed(valLoss)}${
      reference === undefined ? "" : `, reference ${fixed(reference)}`
    }`;
  }
  if (event === "alarm") return `step ${step}: ${text}`;
  if (event === "evaluation") {
    return `step ${step}: ${facts.name} acc ${correct}/${examples}, acc_norm ${correctNorm}/${examples}`;
  }
  return `step ${step}: ${event}`;
}

if (import.meta.main) await runCommand(() => main(Deno.args));
