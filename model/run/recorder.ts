/**
 * Writes down what happens in a run, in every place where it is kept: `run.json`, `metrics.jsonl`, TensorBoard's file and the list
 * of runs. None of them is worth a run: what cannot be written is said once and then left alone.
 *
 * @module
 */
import type { PlanEvent, TrainerEvent } from "../messages.ts";
import { readMetrics } from "./metrics.ts";
import { writeRunFile } from "./run_file.ts";
import { MetricsFile, type Sink, TensorBoardFile } from "./sinks.ts";
import { RunStore } from "./store.ts";

/** Events after which everything so far should survive a crash. */
const MILESTONES: ReadonlySet<TrainerEvent["kind"]> = new Set([
  "checkpoint",
  "evaluation",
  "alarm",
  "end",
  "failure",
]);

/** Writes one run's events down. */
export class Recorder {
  readonly #sinks = new Set<Sink>();

  private constructor(private readonly notify: (text: string) => void) {}

  /**
   * Begins to write, once nothing will be refused any more: the run's folder is made if need be.
   *
   * @param notify Is told what cannot be written.
   */
  static async open(event: PlanEvent, notify: (text: string) => void): Promise<Recorder> {
    const { out, resumedFrom } = event;
    const recorder = new Recorder(notify);
    const attempt = async (name: string, open: () => Sink | Promise<void>) => {
      try {
        const sink = await open();
        if (sink) recorder.#sinks.add(sink);
      } catch (problem) {
        recorder.#complain(name, problem);
      }
    };
    await Deno.mkdir(out, { recursive: true }).catch(() => {}); // the first checkpoint will say why not
    await attempt("run.json", () => writeRunFile(event));
    await attempt("metrics.jsonl", () => new MetricsFile(out, resumedFrom));
    await attempt("the event file", () => new TensorBoardFile(out, resumedFrom));
    const earlier = await readMetrics(out).catch(() => []);
    await attempt("the list of runs", () => new RunStore(event, earlier));
    return recorder;
  }

  /** Writes an event down. */
  note(event: TrainerEvent): void {
    for (const sink of this.#sinks) {
      try {
        sink.note(event);
        if (MILESTONES.has(event.kind)) sink.sync();
      } catch (problem) {
        this.#sinks.delete(sink);
        this.#complain(sink.name, problem);
        try {
          sink.close();
        } catch {
          // it has been said that it fails
        }
      }
    }
  }

  /** Closes everything. */
  close(): void {
    for (const sink of this.#sinks) {
      try {
        sink.close();
      } catch (problem) {
        this.#complain(sink.name, problem);
      }
    }
    this.#sinks.clear();
  }

  #complain(name: string, problem: unknown): void {
    const text = problem instanceof Error ? problem.message : String(problem);
    this.notify(`${name} is not written from here on: ${text.replace(/\s*\n\s*/g, " ")}; the run goes on`);
  }
}
