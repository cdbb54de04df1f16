/**
 * What both evaluations show while they run, and where their numbers go.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "@std/path";
import { stepFolder } from "../checkpoint.ts";
import { appendMetrics, METRICS_FILE, type MetricsLine, readMetrics } from "../run/metrics.ts";
import { refreshRun } from "../run/store.ts";
import type { Weights } from "../weights.ts";
import { INTERRUPTED } from "./exit.ts";
import { onInterrupt } from "./interrupt.ts";
import { OutputScreen } from "./screen.ts";
import { clock } from "./text.ts";

/** Between lines of progress in a log that is not a terminal, in milliseconds. */
const LOG_EVERY = 5000;

/** Progress on standard error: one line on a terminal, a line every few seconds elsewhere. */
export class EvalProgress {
  readonly #screen = new OutputScreen(Deno.stderr);
  #started = performance.now();
  #logged = this.#started;
  #last = "";

  /** Interrupted, it says what is known so far and ends the process. */
  constructor() {
    const end = () => {
      this.#screen.settle();
      if (this.#last !== "") this.#screen.line(`interrupted at ${this.#last}`);
      Deno.exit(INTERRUPTED);
    };
    onInterrupt(end, end);
  }

  /** Starts the clock: what came before is not work that goes on at the same rate. */
  start(): void {
    this.#started = this.#logged = performance.now();
  }

  /**
   * Leaves the line of progress, for the result to stand below.
   *
   * @returns Seconds since the start.
   */
  end(): number {
    this.#screen.settle();
    return (performance.now() - this.#started) / 1000;
  }

  /**
   * Shows how far it is.
   *
   * @param unit What is counted, in the plural.
   * @param text What is known so far.
   */
  show(done: number, total: number, unit: string, text: string): void {
    const now = performance.now();
    const ms = now - this.#started;
    const left = clock(ms / done * (total - done));
    const speed = rateText(done / ms * 1000);
    this.#last = `${done}/${total} ${unit}: ${text}`;
    const line = `${this.#last}, ${speed} ${unit}/s, ${left} left`;
    if (this.#screen.columns !== undefined) this.#screen.status(line.slice(0, this.#screen.columns - 1));
    else if (now - this.#logged >= LOG_EVERY) {
      this.#logged = now;
      this.#screen.line(line);
    }
  }

  /** Writes a line that stays. */
  line(text: string): void {
    this.#screen.line(text);
  }
}

/** A rate with as many digits as mean something. */
export function rateText(rate: number): string {
  return rate >= 100 ? rate.toFixed(0) : rate.toPrecision(2);
}

/** A line of a run's figures, whose step is known elsewhere. */
export type EvaluationFacts = Readonly<Record<string, unknown>> & { readonly event: string };

/**
 * Adds a line to the figures of the run that a checkpoint belongs to; one that belongs to none is left alone.
 *
 * @returns One line about what was done, or could not be; undefined where there is no run.
 */
export async function recordInRun(
  { path, step }: Weights,
  { event, ...facts }: EvaluationFacts,
): Promise<string | undefined> {
  if (step === undefined || basename(resolve(path)) !== stepFolder(step)) return undefined;
  const run = dirname(resolve(path));
  try {
    await appendMetrics(run, [{ event, step, ...facts } satisfies MetricsLine]);
    refreshRun(run, await readMetrics(run));
    return `recorded in ${join(run, METRICS_FILE)}`;
  } catch (problem) {
    return `not recorded in ${run}: ${(problem as Error).message}`;
  }
}
