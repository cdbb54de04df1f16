/**
 * Light snapshots among the things that a run does every so many steps.
 *
 * @module
 */
import type { Generator } from "../generator.ts";
import type { Submissions } from "../pipeline.ts";
import type { RunContext } from "../run/context.ts";
import type { PeriodicTask } from "../run/periodic.ts";
import type { RunPlan } from "../run_options.ts";
import { planSnapshot, type SnapshotPlan, Snapshots } from "./snapshot.ts";
import type { Tokenizer } from "../../data/mod.ts";

/**
 * What the snapshots of a run hold; undefined when it takes none.
 *
 * @throws {InputError} when they cannot be as the plan has them.
 */
export function snapshotPlanOf(plan: RunPlan, tokenizer: Tokenizer): SnapshotPlan | undefined {
  if (!plan.snapshotEvery) return undefined;
  return planSnapshot(plan.model, tokenizer, { prompt: plan.snapshotPrompt, tensors: plan.snapshotTensors });
}

/** The snapshots of one run. */
export class RunSnapshots implements PeriodicTask {
  /** What a model sees that knows nothing is the first picture. */
  readonly isDueAtStart = true;
  readonly isDueAtEnd = true;

  private constructor(private readonly run: RunContext, private readonly snapshots: Snapshots) {}

  /**
   * Loads the probe over the run's parameters.
   *
   * @param generator The one of the run's samples, which draws from the same states.
   */
  static async open(run: RunContext, plan: SnapshotPlan, generator: Generator): Promise<RunSnapshots> {
    const { out, plan: { model, seed, mode }, session: { device, states, onCompiled }, tokenizer } = run;
    const snapshots = await Snapshots.open(out, device, states, { model, tokenizer, plan, seed }, {
      mode,
      generator,
      onCompiled,
    });
    return new RunSnapshots(run, snapshots);
  }

  get every(): number {
    return this.run.plan.snapshotEvery ?? 0;
  }

  *submissions(step: number): Submissions {
    const { profile, emit } = this.run;
    profile?.enterOther(step);
    yield* this.snapshots.submissions(step, (path) => emit({ kind: "snapshot", step, path }));
  }
}
