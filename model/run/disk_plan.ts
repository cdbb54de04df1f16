/**
 * How much disk a run will take, said before it starts, and refused when it cannot fit.
 *
 * @module
 */
import { dirname, resolve } from "@std/path";
import { statfsSync } from "node:fs";
import { InputError } from "../errors.ts";
import { memoryText } from "../memory.ts";
import { layoutParameters } from "../params.ts";
import type { RunPlan } from "../run_options.ts";
import { isThinning, mostKept } from "./retention.ts";

/** What a run will write, in bytes. */
export interface DiskPlan {
  /** Of one checkpoint: weights and both moments in f32. */
  readonly checkpointBytes: number;
  /** Checkpoints that lie there at once, at most. */
  readonly checkpoints: number;
  /** Of all of them, the one that is being written, metrics and event files, and snapshots. */
  readonly totalBytes: number;
  /** Free where the run lies; undefined where that cannot be found out. */
  readonly freeBytes?: number;
}

/** Of a checkpoint's headers, configuration and tokenizer. */
const CHECKPOINT_OVERHEAD = 5e6;
/** Of a step's lines in `metrics.jsonl` and in the event file. */
const STEP_BYTES = 500;

/**
 * Plans the disk of a run from step `from` to its end.
 *
 * @param snapshotBytes Of one light snapshot.
 * @param free Bytes that are free where the run lies; found out unless given.
 */
export function planDisk(
  plan: RunPlan,
  out: string,
  from: number,
  snapshotBytes = 0,
  free: number | undefined = freeBytes(out),
): DiskPlan {
  const checkpointBytes = 3 * Float32Array.BYTES_PER_ELEMENT * layoutParameters(plan.model).size +
    CHECKPOINT_OVERHEAD;
  const checkpoints = mostKept(from, plan.steps, plan.saveEvery, plan);
  const snapshots = plan.snapshotEvery ? Math.ceil((plan.steps - from) / plan.snapshotEvery) : 0;
  const writing = isThinning(plan) ? 1 : 0;
  const totalBytes = (checkpoints + writing) * checkpointBytes + snapshots * snapshotBytes +
    (plan.steps - from) * STEP_BYTES;
  return { checkpointBytes, checkpoints, totalBytes, ...free !== undefined && { freeBytes: free } };
}

/**
 * Refuses a run that the disk has no room for.
 *
 * @throws {InputError} with the numbers and what would fit.
 */
export function requireDisk(
  { checkpointBytes, checkpoints, totalBytes, freeBytes }: DiskPlan,
  out: string,
): void {
  if (freeBytes === undefined || totalBytes <= freeBytes) return;
  const fitting = Math.floor(freeBytes / checkpointBytes) - 1;
  const remedy = fitting >= 1
    ? `take --keep-last ${Math.min(fitting, 3)}, a larger --save-every, or an --out on a larger disk`
    : "take an --out on a larger disk, or free some space";
  throw new InputError(
    `--out ${out}`,
    `the run will write ${checkpoints} checkpoints of ${spaced(checkpointBytes)}, ${
      spaced(totalBytes)
    } in all, and ` +
      `${spaced(freeBytes)} are free there`,
    remedy,
  );
}

/** `2.64 GB`. */
export function spaced(bytes: number): string {
  return memoryText(bytes).replace(/(?=[MG]B)/, " ");
}

/** Bytes that are free where a path is or will be; undefined where the system does not tell. */
export function freeBytes(path: string): number | undefined {
  for (let folder = resolve(path);; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    } catch (problem) {
      const isMissing = (problem as { code?: unknown }).code === "ENOENT";
      if (!isMissing || dirname(folder) === folder) return undefined;
    }
  }
}
