/**
 * Published loss curves, by tokens: what a healthy run of a model on a text should show. A reproduction that failed unnoticed (10
 * billion tokens, loss 4.2, HellaSwag at chance) would have been told so on its first day.
 *
 * Steps of the published runs are of 524,288 tokens. Losses are mean cross-entropies in nats on the validation part.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { RunPlan } from "../run_options.ts";

/** Tokens that a run has trained on, and its validation loss then. */
export type CurvePoint = readonly [tokens: number, loss: number];

/** A curve to stand beside a run's own. */
export interface ReferenceCurve {
  readonly name: string;
  /** Who measured it, on what. */
  readonly source: string;
  /** By rising tokens. */
  readonly points: readonly CurvePoint[];
}

/** A curve and the runs that it is a reference for. */
interface KnownCurve extends ReferenceCurve {
  fits(plan: RunPlan): boolean;
}

/** Tokens of a step of the published runs. */
const STEP = 524_288;
const bySteps = (points: Readonly<Record<number, number>>): CurvePoint[] =>
  Object.entries(points).map(([step, loss]) => [Number(step) * STEP, loss]);

/** llm.c, October 2024, on FineWeb's validation shard. */
const LLMC = {
  250: 6.1710,
  500: 5.3743,
  750: 4.7097,
  1000: 4.3170,
  1250: 4.1296,
  1500: 4.0060,
  2000: 3.8585,
  2500: 3.7652,
  3000: 3.6973,
  4000: 3.6176,
  5000: 3.5535,
  6000: 3.5069,
  7000: 3.4726,
  8000: 3.4431,
  9000: 3.4159,
  10_000: 3.3924,
  11_000: 3.3706,
  12_000: 3.3509,
  13_000: 3.3305,
  14_000: 3.3149,
  15_000: 3.3003,
  16_000: 3.2882,
  17_000: 3.2803,
  18_000: 3.2746,
  19_000: 3.2724,
  19_560: 3.2722,
};

const isGpt2 = ({ model }: RunPlan) => model.layers === 12 && model.width === 768;

const CURVES: readonly KnownCurve[] = [
  {
    name: "fineweb-edu-124M",
    // FineWeb-Edu is easier text than FineWeb, so the second half is a bound that a healthy run stays below.
    source: "build-nanogpt on FineWeb-Edu to step 1250 (pull request 30), then llm.c on FineWeb",
    points: bySteps({
      ...Object.fromEntries(Object.entries(LLMC).filter(([step]) => Number(step) > 1250)),
      250: 6.1631,
      1000: 4.1533,
      1250: 3.9518,
    }),
    fits: (plan) => isGpt2(plan) && /edu/i.test(plan.data),
  },
  {
    name: "fineweb-124M",
    source: "llm.c on FineWeb, 10.26 billion tokens (October 2024, final loss 3.2722)",
    points: bySteps(LLMC),
    fits: (plan) => isGpt2(plan) && /fineweb/i.test(plan.data),
  },
];

/** Names of the published curves. */
export const REFERENCE_NAMES: readonly string[] = CURVES.map(({ name }) => name);

/** The published curve of a name. */
export function referenceNamed(name: string): ReferenceCurve {
  const found = CURVES.find((curve) => curve.name === name);
  if (found) return found;
  throw new InputError(
    `--reference ${name}`,
    "no such curve",
    `take auto, none, run:DIR or ${REFERENCE_NAMES.join(", ")}`,
  );
}

/** The published curve of runs like this one, if there is one; a run that starts from trained weights has none. */
export function referenceFor(plan: RunPlan): ReferenceCurve | undefined {
  return plan.initFrom === undefined ? CURVES.find((curve) => curve.fits(plan)) : undefined;
}

/**
 * The curve's loss after `tokens`, in between linear in the logarithm of tokens; undefined outside of what was measured.
 *
 * @param points By rising tokens.
 */
export function lossAfter(points: readonly CurvePoint[], tokens: number): number | undefined {
  const next = points.findIndex(([at]) => at >= tokens);
  if (next < 0 || points.length === 0) return undefined;
  const [t1, l1] = points[next];
  if (t1 === tokens) return l1;
  if (next === 0) return undefined;
  const [t0, l0] = points[next - 1];
  const share = Math.log(tokens / t0) / Math.log(t1 / t0);
  return l0 + share * (l1 - l0);
}
