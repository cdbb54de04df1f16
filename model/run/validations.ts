/**
 * Validations of a run, and what follows from them: the alarm of a run that is behind its reference, and the end of one that has
 * stopped getting better.
 *
 * @module
 */
import type { Submissions } from "../pipeline.ts";
import { tokensPerStep, VALIDATION_BATCHES } from "../run_options.ts";
import type { RunContext } from "./context.ts";
import { EarlyStop } from "./early_stop.ts";
import type { MetricsLine } from "./metrics.ts";
import type { PeriodicTask } from "./periodic.ts";
import type { ReferenceCurve } from "./reference_curves.ts";
import { alarmText, ReferenceWatch } from "./reference_watch.ts";

/** How validations are judged. */
export interface Judges {
  /** The curve that the run is compared with. */
  readonly reference?: ReferenceCurve;
  /** Called when the plan's patience is at an end. */
  readonly onStale: () => void;
}

/** The validations of one run. */
export class Validations implements PeriodicTask {
  readonly isDueAtEnd = true;
  readonly #early?: EarlyStop;
  #isStale = false;
  readonly #watch?: ReferenceWatch;

  constructor(private readonly run: RunContext, private readonly judges: Judges) {
    const { earlyStop } = run.plan;
    if (earlyStop !== undefined) this.#early = new EarlyStop(earlyStop);
    if (judges.reference) this.#watch = new ReferenceWatch(judges.reference);
  }

  get every(): number {
    return this.run.plan.evalEvery;
  }

  /** Takes note of what was measured before the run goes on. */
  recall(lines: readonly MetricsLine[]): void {
    for (const { step, valLoss } of lines) {
      if (typeof valLoss !== "number") continue;
      this.#early?.check(step, valLoss);
      this.#watch?.check(step * tokensPerStep(this.run.plan), valLoss);
    }
  }

  *submissions(step: number): Submissions {
    const { session, data, profile, plan: { evalBatches = VALIDATION_BATCHES.usual } } = this.run;
    const count = Math.min(evalBatches, data.validationBatches);
    profile?.enterOther(step);
    for (let index = 0; index < count; index++) {
      session.submitValidation(data.validationBatch(index));
      yield;
    }
    yield session.beginDrainValidation().map((loss) => this.#judge(step, loss));
  }

  #judge(step: number, loss: number): void {
    const { emit, plan } = this.run;
    const tokens = step * tokensPerStep(plan);
    const reference = this.#watch?.after(tokens);
    emit({ kind: "validation", step, loss, tokens, ...reference !== undefined && { reference } });
    const behind = this.#watch?.check(tokens, loss);
    if (behind) emit({ kind: "alarm", step, text: alarmText(behind, this.judges.reference!), ...behind });
    // Validations that were under way behind this one say nothing new.
    if (this.#early?.check(step, loss) && !this.#isStale) {
      this.#isStale = true;
      emit({ kind: "notice", text: this.#early.text });
      this.judges.onStale();
    }
  }
}
