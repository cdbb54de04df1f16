/**
 * Which curve stands beside a run's own: `--reference auto|none|NAME|run:DIR`.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { RunPlan } from "../run_options.ts";
import { readMetrics } from "./metrics.ts";
import { type CurvePoint, type ReferenceCurve, referenceFor, referenceNamed } from "./reference_curves.ts";

const OTHER_RUN = "run:";

/**
 * The curve that a plan asks for; undefined when there is none.
 *
 * @throws {InputError} when there is no such curve, or no validation in that run.
 */
export async function openReference(plan: RunPlan): Promise<ReferenceCurve | undefined> {
  const { reference = "auto" } = plan;
  if (reference === "none") return undefined;
  if (reference === "auto") return referenceFor(plan);
  if (!reference.startsWith(OTHER_RUN)) return referenceNamed(reference);
  const run = reference.slice(OTHER_RUN.length);
  const points = (await readMetrics(run)).flatMap(({ tokens, valLoss }): CurvePoint[] =>
    typeof tokens === "number" && typeof valLoss === "number" ? [[tokens, valLoss]] : []
  );
  if (points.length > 0) return { name: run, source: "another run's validations", points };
  throw new InputError(
    `--reference ${reference}`,
    "there are no validations in its metrics.jsonl",
    "name the folder of a run that has been validated",
  );
}
