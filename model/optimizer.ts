/**
 * Clipping and AdamW as tensor code over flat tensors: the compiler makes one kernel of each for every window of the
 * arena. Numbers that change from step to step are scalars of the program, so that they never recompile.
 *
 * @module
 */
import { concat, scope, type Tensor } from "../compiler/mod.ts";
import type { ParameterLayout } from "./params.ts";

/** Constants of AdamW (Loshchilov and Hutter 2019), with GPT-2 reproductions' values. */
export const ADAMW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 } as const;

/** Largest global gradient norm. */
export const CLIP_NORM = 1;

/** Parameters and both moments, flat. */
export interface OptimizerState {
  readonly params: Tensor;
  /** Running mean of the gradients. */
  readonly m: Tensor;
  /** Running mean of their squares. */
  readonly v: Tensor;
}

/** Numbers of one step, as f32 scalars. */
export interface StepScalars {
  readonly learningRate: Tensor;
  /** 1 / (1 - beta1^t), t counted from 1. */
  readonly correction1: Tensor;
  /** 1 / (1 - beta2^t). */
  readonly correction2: Tensor;
}

/** The values of {@link StepScalars} for step `step`, counted from 0. */
export function stepScalars(step: number, learningRate: number): Record<keyof StepScalars, number> {
  return {
    learningRate,
    correction1: 1 / (1 - ADAMW.beta1 ** (step + 1)),
    correction2: 1 / (1 - ADAMW.beta2 ** (step + 1)),
  };
}

/** Scales flat gradients so that their global norm is at most {@link CLIP_NORM}; also gives the norm before that. */
export function clipByGlobalNorm(grads: Tensor): { clipped: Tensor; norm: Tensor } {
  return scope("clip", () => {
    const norm = grads.mul(grads).sum().sqrt();
    const factor = norm.add(1e-6).reciprocal().mul(CLIP_NORM).minimum(1);
    return { clipped: grads.mul(factor), norm };
  });
}

/** One AdamW update. Only the first `layout.decayed` elements, those of matrices, decay. */
export function adamw(
  layout: ParameterLayout,
  state: OptimizerState,
  grads: Tensor,
  scalars: StepScalars,
): OptimizerState {
  const part = (start: number, end: number, decay: number) => {
    const cut = (flat: Tensor) => flat.slice([start], [end]);
    const updated = { params: cut(state.params), m: cut(state.m), v: cut(state.v) };
    return scope("adamw", () => update(updated, cut(grads), scalars, decay));
  };
  const matrices = part(0, layout.decayed, ADAMW.decay);
  const vectors = part(layout.decayed, layout.size, 0);
  return {
    params: concat([matrices.params, vectors.params], 0),
    m: concat([matrices.m, vectors.m], 0),
    v: concat([matrices.v, vectors.v], 0),
  };
}

function update(state: OptimizerState, grad: Tensor, scalars: StepScalars, decay: number): OptimizerState {
  const { beta1, beta2, epsilon } = ADAMW;
  const m = state.m.mul(beta1).add(grad.mul(1 - beta1));
  const v = state.v.mul(beta2).add(grad.mul(grad).mul(1 - beta2));
  const direction = m.mul(scalars.correction1).div(v.mul(scalars.correction2).sqrt().add(epsilon));
  const shrunk = decay === 0 ? state.params : state.params.sub(
    state.params.mul(scalars.learningRate).mul(decay),
  );
  return { params: shrunk.sub(direction.mul(scalars.learningRate)), m, v };
}
