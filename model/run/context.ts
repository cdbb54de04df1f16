/**
 * What the parts of a run work with, once everything is open.
 *
 * @module
 */
import type { Batches, Tokenizer } from "../../data/mod.ts";
import type { TrainerEvent } from "../messages.ts";
import type { RunPlan } from "../run_options.ts";
import type { RunProfile } from "../run_profile.ts";
import type { TrainingSession } from "../session.ts";

/** A run that is open. */
export interface RunContext {
  /** Directory of the run. */
  readonly out: string;
  readonly plan: RunPlan;
  readonly session: TrainingSession;
  readonly data: Batches;
  readonly tokenizer: Tokenizer;
  /** Absent unless one is asked for. */
  readonly profile?: RunProfile;
  /** Takes the events of the run, in order. */
  readonly emit: (event: TrainerEvent) => void;
}
