/**
 * Checkpoints of a run while it runs: the state is read between two steps, and written and thinned out by a Worker.
 *
 * @module
 */
import type { Readback } from "../../runtime/mod.ts";
import type { TrainerAsk } from "../messages.ts";
import { cutParameters } from "../params.ts";
import type { Submissions } from "../pipeline.ts";
import { type Saved, Saver } from "../saver.ts";
import type { RunContext } from "./context.ts";
import type { PeriodicTask } from "./periodic.ts";

/** The checkpoints of one run. */
export class Checkpoints implements PeriodicTask {
  /** The end of a run is saved by the trainer, which knows why it ends. */
  readonly isDueAtEnd = false;
  readonly #saver: Saver;
  #path?: string;
  #step: number;

  /**
   * @param step Steps that are done, and saved if there are any.
   * @param path Their checkpoint.
   */
  constructor(private readonly run: RunContext, step: number, path?: string) {
    this.#step = step;
    this.#path = path;
    this.#saver = new Saver((saved) => this.#noteSaved(saved));
  }

  get every(): number {
    return this.run.plan.saveEvery;
  }

  /** The newest one that is on the disk. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Steps that are saved or about to be. */
  get step(): number {
    return this.#step;
  }

  *submissions(step: number): Submissions {
    yield this.save(step);
  }

  /** Reads the state; the files are written while the run goes on. */
  save(step: number): Readback<void> {
    const { out, plan, session, data, tokenizer, profile } = this.run;
    this.#step = step;
    profile?.enterOther(step);
    return session.beginSnapshot().map(async ({ params, ...optimizer }) => {
      const flat = ([name, data]: [string, Float32Array]) => ({ name, shape: [data.length], data });
      const waited = profile?.begin("wait for the checkpoint before");
      await this.#saver.settled();
      waited?.();
      const contents = {
        config: plan.model,
        tokenizer: tokenizer.file(),
        parameters: cutParameters(session.layout, params),
        optimizer: Object.entries(optimizer).map(flat),
        trainer: {
          step,
          position: step * plan.accumulation,
          seed: plan.seed,
          plan,
          schedules: session.schedules,
          dataIdentity: data.identity,
        },
      };
      const { keepLast, keepEvery } = plan;
      this.#saver.save(out, contents, { keepLast, keepEvery });
    });
  }

  /** Saves now, and tells when the files are written; the run goes on meanwhile. */
  answer(step: number, { id }: Extract<TrainerAsk, { kind: "save" }>): Readback<void> {
    return this.save(step).map(() => {
      this.settled().then(() => this.run.emit({ kind: "reply", id, step }), () => {});
    });
  }

  /** @throws {CheckpointError} when one could not be written so far. */
  check(): void {
    this.#saver.check();
  }

  /**
   * Waits until all are on the disk.
   *
   * @throws {CheckpointError} when one could not be written.
   */
  async settled(): Promise<void> {
    await this.#saver.settled();
  }

  /** Ends the Worker, once it has written what it was given. */
  async close(): Promise<void> {
    await this.#saver.close();
  }

  #noteSaved({ path, step, removed, start, end }: Saved): void {
    this.#path = path;
    const { timeOrigin } = performance;
    this.run.profile?.add({
      name: "write checkpoint",
      category: "host",
      start: timeOrigin + start,
      end: timeOrigin + end,
      args: { step },
      thread: "checkpoint",
    });
    this.run.emit({ kind: "checkpoint", step, path, removed });
  }
}
