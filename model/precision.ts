/**
 * Mixed precision (Micikevicius et al. 2018, arXiv:1710.03740): what matrix products and attention read and write has 16
 * bits; parameters, moments, gradients, the residual stream, statistics, the loss and every sum keep 32.
 *
 * f16 has no numbers below 2^-24, where most gradients of a mean loss lie, and none above 65504. So the loss is multiplied
 * by a scale before it is differentiated. When a gradient overflows, the step does not count and the scale is halved; after
 * many good steps it is doubled. Scale and counter live on the device: nothing waits for a readback.
 *
 * bf16 has f32's range and 8 bits of precision: it needs no scale, and no feature of the adapter.
 *
 * @module
 */
import { scope, type Tensor, where } from "../compiler/mod.ts";
import { headWidth, type ModelConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { HEAD_WEIGHT, type Parameters } from "./gpt2.ts";
import { type ParameterLayout, unpack } from "./params.ts";

/** Dtypes that products may have. */
export const PRECISIONS = ["f32", "f16", "bf16"] as const;
/** Dtype of what products read and write. */
export type Precision = (typeof PRECISIONS)[number];

/** How the loss scale moves. */
export const LOSS_SCALING = {
  /** Where it starts: too large for the first step of some models, which costs them a few steps. */
  initial: 2 ** 16,
  /** Below this a scale helps nobody: gradients that still overflow are those of a run that has diverged. */
  smallest: 1,
  /** Steps without overflow after which it is doubled. */
  growthInterval: 2000,
} as const;

/** The state of loss scaling: two f32 scalars that stay on the device. */
export interface LossScaling {
  /** Factor of the loss: a power of two, so that it rounds nothing. */
  readonly lossScale: Tensor;
  /** Steps since the scale last changed. */
  readonly goodSteps: Tensor;
}

/** Names of the state tensors of {@link LossScaling}. */
export const SCALING_STATES = ["lossScale", "goodSteps"] as const satisfies readonly (keyof LossScaling)[];

/** True when products round so much that the loss has to be scaled. */
export function isScaled(precision: Precision): boolean {
  return precision === "f16";
}

/** The scaling after a step whose gradients were all `finite` (a bool scalar), or were not. */
export function nextScaling({ lossScale, goodSteps }: LossScaling, finite: Tensor): LossScaling {
  const { smallest, growthInterval } = LOSS_SCALING;
  const counted = goodSteps.add(1);
  const grows = counted.ge(growthInterval);
  return {
    lossScale: where(finite, where(grows, lossScale.mul(2), lossScale), lossScale.mul(0.5).maximum(smallest)),
    goodSteps: where(finite.and(grows.not()), counted, 0),
  };
}

/**
 * The parameters as the model reads them: f32 slices of the arenas, and in mixed precision the weights of products as
 * slices of arenas that are cast as a whole, once a program.
 */
export function modelParameters(
  layout: ParameterLayout,
  arenas: readonly Tensor[],
  precision: Precision,
): Parameters {
  const master = unpack(layout, arenas);
  if (precision === "f32") return master;
  const rounded = unpack(layout, arenas.map((flat) => scope("cast", () => flat.cast(precision))));
  const weights = Object.keys(master).filter((name) => /\.c_\w+\.weight$/.test(name));
  return {
    ...master,
    ...Object.fromEntries(weights.map((name) => [name, rounded[name]])),
    [HEAD_WEIGHT]: rounded["wte.weight"],
  };
}

/** Gradients by the f32 parameters, from those by what {@link modelParameters} gave. */
export function masterGradients(gradients: Parameters): Parameters {
  const { [HEAD_WEIGHT]: head, ...others } = gradients;
  const master = Object.fromEntries(Object.entries(others).map(([name, part]) => [name, part.cast("f32")]));
  // The token embedding is read twice: its rows in f32, the whole as the head's weight.
  return head ? { ...master, "wte.weight": master["wte.weight"].add(head.cast("f32")) } : master;
}

/**
 * Refuses a precision that a model's sizes do not allow: bf16 is stored four numbers at a time.
 *
 * @throws {InputError} which says what to do instead.
 */
export function requireSizes(precision: Precision, config: ModelConfig): void {
  if (precision !== "bf16" || headWidth(config) % 4 === 0) return;
  throw new InputError(
    `--dtype bf16 --width ${config.width} --heads ${config.heads}`,
    "bf16 needs heads of a multiple of 4 channels",
    `take --width ${Math.ceil(headWidth(config) / 4) * 4 * config.heads}, or another --dtype`,
  );
}

/**
 * Refuses a precision that an adapter does not have.
 *
 * @throws {InputError} which says what to do instead.
 */
export function requirePrecision(precision: Precision, adapter: { f16: boolean }, name: string): void {
  if (precision !== "f16" || adapter.f16) return;
  throw new InputError(
    "--dtype f16",
    `this adapter (${name}) has no 16-bit floats (WebGPU's feature shader-f16)`,
    "take --dtype bf16 or f32 for a run on it",
  );
}
