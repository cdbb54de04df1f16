/**
 * `run.json` in a run's folder: everything that the run was told, what it ran on, and when it was begun and gone on with.
 *
 * @module
 */
import { join } from "@std/path";
import project from "../../deno.json" with { type: "json" };
import { syncFolder, writeDurably } from "../durable_files.ts";
import type { PlanEvent } from "../messages.ts";
import { type RunPlan, tokensPerStep } from "../run_options.ts";
import { writeAll } from "../safetensors.ts";

/** Name of the file. */
export const RUN_FILE = "run.json";

/** The versions that a run was computed with. */
export type Versions = Readonly<Record<string, string>>;

/** One time that a run was started. */
export interface RunStart {
  /** ISO 8601. */
  readonly time: string;
  /** Steps that were done. */
  readonly step: number;
  readonly adapter: PlanEvent["adapter"];
  readonly versions: Versions;
}

/** The file's contents. */
export interface RunRecord {
  /** As it is now: some things can be changed when a run goes on. */
  readonly plan: RunPlan;
  readonly parameters: number;
  readonly tokensPerStep: number;
  readonly trainTokens: number;
  readonly validationTokens: number;
  readonly reference?: PlanEvent["reference"];
  readonly disk: PlanEvent["disk"];
  /** Oldest first. */
  readonly starts: readonly RunStart[];
}

/** Writes the file of a run that starts, or goes on. */
export async function writeRunFile(event: PlanEvent): Promise<void> {
  const { out, plan, adapter, parameters, trainTokens, validationTokens, reference, disk, resumedFrom } =
    event;
  const earlier = resumedFrom > 0 ? (await readRunFile(out))?.starts ?? [] : [];
  const start = { time: new Date().toISOString(), step: resumedFrom, adapter, versions: versions() };
  const record: RunRecord = {
    plan,
    parameters,
    tokensPerStep: tokensPerStep(plan),
    trainTokens,
    validationTokens,
    ...reference && { reference },
    disk,
    starts: [...earlier, start],
  };
  const path = join(out, RUN_FILE);
  const temporary = `${path}.tmp-${Deno.pid}`;
  await Deno.remove(temporary).catch(() => {});
  const text = JSON.stringify(record, null, 2) + "\n";
  await writeDurably(temporary, (file) => writeAll(file, new TextEncoder().encode(text)));
  await Deno.rename(temporary, path);
  await syncFolder(out);
}

/** Reads a run's file; undefined when there is none, or nothing that can be read. */
export async function readRunFile(run: string): Promise<RunRecord | undefined> {
  try {
    const record = JSON.parse(await Deno.readTextFile(join(run, RUN_FILE)));
    return Array.isArray(record?.starts) ? record : undefined;
  } catch {
    return undefined;
  }
}

function versions(): Versions {
  return { sinter: project.version, deno: Deno.version.deno, os: `${Deno.build.os}-${Deno.build.arch}` };
}
