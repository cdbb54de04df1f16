/**
 * Clipping and AdamW as tensor code over flat tensors: the compiler makes one kernel of each for every window of the
 * arena. Numbers that change from step to step are scalars of the program, so that they never recompile.
 *
 * @module
 */
import { constant, iota, scope, type Tensor, where } from "../compiler/mod.ts";
import type { Arena, ParameterLayout } from "./params.ts";

/** Constants of AdamW (Loshchilov and Hutter 2019), with GPT-2 reproductions' values. */
export const ADAMW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 } as const;

/** Largest global gradient norm. */
export const CLIP_NORM = 1;

/** Parameters and both moments: a flat tensor for each arena. */
export interface OptimizerState {
  readonly params: readonly Tensor[];
  /** Running mean of the gradients. */
  readonly m: readonly Tensor[];
  /** Running mean of their squares. */
  readonly v: readonly Tensor[];
}

/** The state of one stretch of parameters. */
type FlatState = { readonly [K in keyof OptimizerState]: Tensor };

/** Numbers of one step, as f32 scalars. */
export interface StepScalars {
  readonly learningRate: Tensor;
  /** 1 / (1 - beta1^t), t counted from 1. */
  readonly correction1: Tensor;
  /** 1 / (1 - beta2^t). */
  readonly correction2: Tensor;
}

/**
 * The values of {@link StepScalars} for step `step`, counted from 0. Steps that do not count are counted here: the host
 * does not wait to learn of them, and the corrections are gone after a few dozen steps.
 */
export function stepScalars(step: number, learningRate: number): Record<keyof StepScalars, number> {
  return {
    learningRate,
    correction1: 1 / (1 - ADAMW.beta1 ** (step + 1)),
    correction2: 1 / (1 - ADAMW.beta2 ** (step + 1)),
  };
}

/**
 * Scales flat gradients so that their global norm is at most {@link CLIP_NORM}; also gives the norm before that. With
 * `lossScale` they are those of a loss that was multiplied by it, which is undone.
 */
export function clipByGlobalNorm(
  grads: readonly Tensor[],
  lossScale?: Tensor,
): { clipped: Tensor[]; norm: Tensor } {
  return scope("clip", () => {
    const found = grads.map((flat) => flat.mul(flat).sum()).reduce((a, b) => a.add(b)).sqrt();
    const unscale = lossScale?.reciprocal();
    const norm = unscale ? found.mul(unscale) : found;
    const limit = norm.add(1e-6).reciprocal().mul(CLIP_NORM).minimum(1);
    const factor = unscale ? limit.mul(unscale) : limit;
    return { clipped: grads.map((flat) => flat.mul(factor)), norm };
  });
}

/**
 * One AdamW update. Only the first `layout.decayed` elements, those of matrices, decay.
 *
 * @param counts A bool scalar: where it is false, everything stays as it is, whatever the gradients hold.
 */
export function adamw(
  layout: ParameterLayout,
  state: OptimizerState,
  grads: readonly Tensor[],
  scalars: StepScalars,
  counts?: Tensor,
): OptimizerState {
  const updated = layout.arenas.map((arena, i) => {
    const old = { params: state.params[i], m: state.m[i], v: state.v[i] };
    return scope("adamw", () => {
      const next = update(old, grads[i], scalars, decayOf(layout, arena));
      return counts ? chosen(counts, next, old) : next;
    });
  });
  const all = (kind: keyof FlatState) => updated.map((each) => each[kind]);
  return { params: all("params"), m: all("m"), v: all("v") };
}

/** The weight decay of an arena's elements: matrices come first, vectors have none. */
function decayOf({ decayed }: ParameterLayout, { start, end }: Arena): Tensor | number {
  if (end <= decayed) return ADAMW.decay;
  if (start >= decayed) return 0;
  // One kernel for both kinds: a comparison an element costs less than a launch, and cuts no window in two.
  const matrices = iota([end - start], 0).lt(decayed - start);
  return where(matrices, constant(ADAMW.decay, "f32"), 0);
}

function update(state: FlatState, grad: Tensor, scalars: StepScalars, decay: Tensor | number): FlatState {
  const { beta1, beta2, epsilon } = ADAMW;
  const m = state.m.mul(beta1).add(grad.mul(1 - beta1));
  const v = state.v.mul(beta2).add(grad.mul(grad).mul(1 - beta2));
  const direction = m.mul(scalars.correction1).div(v.mul(scalars.correction2).sqrt().add(epsilon));
  const shrunk = decay === 0 ? state.params : state.params.sub(
    state.params.mul(scalars.learningRate).mul(decay),
  );
  return { params: shrunk.sub(direction.mul(scalars.learningRate)), m, v };
}

/** A selection, not a product: 0 times what a step with overflow computes is not 0. */
function chosen(condition: Tensor, next: FlatState, old: FlatState): FlatState {
  const pick = (kind: keyof FlatState) => where(condition, next[kind], old[kind]);
  return { params: pick("params"), m: pick("m"), v: pick("v") };
}
