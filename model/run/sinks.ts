/**
 * Where a run's figures go while it runs: `metrics.jsonl` and a file for TensorBoard. A run that goes on from a checkpoint takes
 * back what it had written of later steps, so that every step is there once.
 *
 * @module
 */
import { join } from "@std/path";
import type { TrainerEvent } from "../messages.ts";
import { METRICS_FILE, metricsLine, parseMetrics } from "./metrics.ts";
import { eventRecord, FILE_VERSION, type Summary } from "./tensorboard.ts";

/** Something that writes a run's events down. Its methods throw when they cannot. */
export interface Sink {
  /** What a notice calls it. */
  readonly name: string;
  note(event: TrainerEvent): void;
  /** Makes sure that everything so far survives a crash. */
  sync(): void;
  close(): void;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** The lines of {@link metricsLine} in a run's folder. */
export class MetricsFile implements Sink {
  readonly name = METRICS_FILE;
  readonly #file: Deno.FsFile;

  /** @param from Steps that are done: lines of later ones are dropped. */
  constructor(run: string, from: number) {
    const path = join(run, METRICS_FILE);
    const kept = linesUntil(path, from);
    const temporary = `${path}.tmp`;
    {
      using file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
      writeAll(file, new TextEncoder().encode(kept));
      file.syncSync();
    }
    Deno.renameSync(temporary, path);
    this.#file = Deno.openSync(path, { append: true });
  }

  note(event: TrainerEvent): void {
    const line = metricsLine(event);
    if (line) writeAll(this.#file, new TextEncoder().encode(JSON.stringify(line) + "\n"));
  }

  sync(): void {
    this.#file.syncSync();
  }

  close(): void {
    this.#file.close();
  }
}

function linesUntil(path: string, from: number): string {
  try {
    const lines = parseMetrics(Deno.readTextFileSync(path)).filter(({ step }) => step <= from);
    return lines.map((line) => JSON.stringify(line) + "\n").join("");
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return "";
    throw problem;
  }
}

/** An event file for TensorBoard; a new one each time that the run goes on, as TensorBoard has it. */
export class TensorBoardFile implements Sink {
  readonly name: string;
  readonly #file: Deno.FsFile;

  /** @param from Steps that are done: TensorBoard drops what older files say of later ones. */
  constructor(run: string, from: number, private readonly now: () => number = Date.now) {
    this.name = `events.out.tfevents.${Math.floor(now() / 1000)}.sinter.${Deno.pid}`;
    this.#file = Deno.openSync(join(run, this.name), { append: true, create: true });
    writeAll(this.#file, eventRecord(now() / 1000, { fileVersion: FILE_VERSION }));
    if (from > 0) {
      writeAll(this.#file, eventRecord(now() / 1000, { step: from + 1, isSessionStart: true }));
    }
  }

  note(event: TrainerEvent): void {
    const summaries = summariesOf(event);
    if (summaries.length === 0 || !("step" in event)) return;
    writeAll(this.#file, eventRecord(this.now() / 1000, { step: event.step, summaries }));
  }

  sync(): void {
    this.#file.syncSync();
  }

  close(): void {
    this.#file.close();
  }
}

function summariesOf(event: TrainerEvent): Summary[] {
  switch (event.kind) {
    case "step":
      return [
        { tag: "train/loss", value: event.loss },
        { tag: "train/learning_rate", value: event.learningRate },
        { tag: "train/gradient_norm", value: event.gradNorm },
        { tag: "train/tokens_per_second", value: event.tokensPerSecond },
        ...event.lossScale === undefined ? [] : [{ tag: "train/loss_scale", value: event.lossScale }],
      ];
    case "validation":
      return [
        { tag: "validation/loss", value: event.loss },
        ...event.reference === undefined ? [] : [{ tag: "validation/reference", value: event.reference }],
      ];
    case "evaluation":
      return [
        { tag: `${event.name}/acc`, value: event.acc },
        { tag: `${event.name}/acc_norm`, value: event.accNorm },
      ];
    case "sample":
      return [{ tag: "sample", value: event.text }];
    case "alarm":
      return [{ tag: "alarm", value: event.text }];
    default:
      return [];
  }
}
