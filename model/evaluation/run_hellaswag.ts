/**
 * HellaSwag of a model while it trains: every so many steps, between two of them.
 *
 * @module
 */
import { type HellaSwagOptions, loadHellaSwag } from "../../data/mod.ts";
import type { Submissions } from "../pipeline.ts";
import type { RunContext } from "../run/context.ts";
import type { PeriodicTask } from "../run/periodic.ts";
import { cutText, HellaSwag } from "./hellaswag.ts";

/** The HellaSwag evaluations of one run. */
export class RunHellaSwag implements PeriodicTask {
  readonly isDueAtEnd = true;

  private constructor(private readonly run: RunContext, private readonly hellaswag: HellaSwag) {}

  /**
   * Reads as many examples as the plan says, downloads them if need be, and loads the program over the run's parameters.
   *
   * @param from Where the examples are; the published validation set by default.
   * @throws {DataError} when the examples cannot be had.
   * @throws {LimitError} when the device has no room for the program beside the run's.
   */
  static async open(run: RunContext, from: Omit<HellaSwagOptions, "limit"> = {}): Promise<RunHellaSwag> {
    const { plan: { model, dtype, mode, hellaswagLimit: limit }, session, tokenizer, emit } = run;
    const { device, states, onCompiled } = session;
    const examples = await loadHellaSwag({ ...from, limit });
    const hellaswag = await HellaSwag.load(device, states, model, tokenizer, examples, {
      dtype,
      mode,
      onCompiled,
    });
    const text = cutText(hellaswag, model);
    if (text !== undefined) emit({ kind: "notice", text });
    return new RunHellaSwag(run, hellaswag);
  }

  get every(): number {
    return this.run.plan.hellaswagEvery ?? 0;
  }

  *submissions(step: number): Submissions {
    const { profile, emit } = this.run;
    profile?.enterOther(step);
    yield* this.hellaswag.submissions(({ losses: _, ...score }) =>
      emit({ kind: "evaluation", step, name: "hellaswag", ...score })
    );
  }
}
