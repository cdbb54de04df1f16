/**
 * A run's figures as JSON lines: what `--json` writes to standard output, what `metrics.jsonl` in a run's folder keeps, and how
 * that file is read again. JSON has no infinity and no NaN: such numbers are null.
 *
 * @module
 */
import { join } from "@std/path";
import type { TrainerEvent } from "../messages.ts";
import { writeAll } from "../safetensors.ts";

/** Name of the file in a run's folder. */
export const METRICS_FILE = "metrics.jsonl";

/** A line. */
export type MetricsLine = Readonly<Record<string, unknown>> & {
  /** What it is about. */
  readonly event: string;
  /** Steps that were done. */
  readonly step: number;
};

/** The line of an event; undefined for those that are no figures. */
export function metricsLine(event: TrainerEvent): MetricsLine | undefined {
  switch (event.kind) {
    case "step": {
      const { step, loss, learningRate: lr, gradNorm, lossScale, tokensPerSecond, ms } = event;
      return { event: "step", step, loss, lr, gradNorm, lossScale, tokensPerSecond, ms };
    }
    case "validation": {
      const { step, loss: valLoss, tokens, reference } = event;
      return { event: "validation", step, valLoss, tokens, reference };
    }
    case "sample":
      return { event: "sample", step: event.step, sample: event.text };
    case "evaluation":
    case "alarm": {
      const { kind, ...figures } = event;
      return { event: kind, ...figures };
    }
  }
}

/**
 * Lines of a run's file, oldest first; none when there is no file. What is no line of a run (a torn end) is left out.
 *
 * @param run The run's folder.
 */
export async function readMetrics(run: string): Promise<MetricsLine[]> {
  try {
    return parseMetrics(await Deno.readTextFile(join(run, METRICS_FILE)));
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return [];
    throw problem;
  }
}

/** As {@link readMetrics}, from the file's text. */
export function parseMetrics(text: string): MetricsLine[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return isLine(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}

function isLine(value: unknown): value is MetricsLine {
  const { event, step } = Object(value);
  return typeof event === "string" && typeof step === "number";
}

/**
 * Adds lines to a run's figures, also while the run goes on.
 *
 * @param run The run's folder.
 */
export async function appendMetrics(run: string, lines: readonly MetricsLine[]): Promise<void> {
  using file = await Deno.open(join(run, METRICS_FILE), { create: true, read: true, append: true });
  const { size } = await file.stat();
  // A process that was killed may have left half a line.
  const last = new Uint8Array(1);
  await file.seek(Math.max(0, size - 1), Deno.SeekMode.Start);
  const isTorn = size > 0 && await file.read(last) === 1 && last[0] !== "\n".charCodeAt(0);
  const text = (isTorn ? "\n" : "") + lines.map((line) => JSON.stringify(line) + "\n").join("");
  await writeAll(file, new TextEncoder().encode(text));
  await file.sync();
}
