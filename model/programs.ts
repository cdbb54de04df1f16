/**
 * The programs of training and generation, traced: each function gives a graph for the compiler. They share state
 * tensors by name (`params`, `m`, `v`, `grads`, …), which stay on the device from one program to the next.
 *
 * @module
 */
import { grad, type Graph, iota, phase, type Tensor, trace, where } from "../compiler/mod.ts";
import type { ModelConfig } from "./config.ts";
import { logitsAt, loss } from "./gpt2.ts";
import { initialParameters, zeros } from "./init.ts";
import { adamw, clipByGlobalNorm, type OptimizerState, type StepScalars } from "./optimizer.ts";
import { layoutParameters, pack, type ParameterLayout, unpack } from "./params.ts";
import { placeToken, sampleToken } from "./sampler.ts";

/** Sizes of one batch on the device. */
export interface BatchShape {
  /** Sequences. */
  readonly batch: number;
  /** Tokens of each. */
  readonly context: number;
}

type Inputs = Readonly<Record<string, Tensor>>;

const scalar = (dtype: "f32" | "i32" | "u32") => ({ shape: [], dtype, role: "scalar" } as const);

const flat = (layout: ParameterLayout) => ({ shape: [layout.size], dtype: "f32", role: "state" } as const);

const optimizerInputs = (layout: ParameterLayout) => ({
  params: flat(layout),
  m: flat(layout),
  v: flat(layout),
});

const optimizerScalars = {
  learningRate: scalar("f32"),
  correction1: scalar("f32"),
  correction2: scalar("f32"),
};

const OPTIMIZER_DONATES = { params: "params", m: "m", v: "v" };

const batchInputs = ({ batch, context }: BatchShape) => ({
  tokens: { shape: [batch, context], dtype: "i32", role: "batch" } as const,
  targets: { shape: [batch, context], dtype: "i32", role: "batch" } as const,
});

/** Fills `params`, `m` and `v` for a fresh run. Scalar: `key` (u32), from the seed. */
export function traceInit(config: ModelConfig): Graph {
  const layout = layoutParameters(config);
  return trace(
    ({ key }) => ({ params: initialParameters(layout, key), m: zeros(layout), v: zeros(layout) }),
    { ...optimizerInputs(layout), key: scalar("u32") },
    { donates: OPTIMIZER_DONATES },
  );
}

/** The loss of a batch: the forward graph alone. Output: `loss`. */
export function traceLoss(config: ModelConfig, shape: BatchShape): Graph {
  const layout = layoutParameters(config);
  return trace(
    ({ params, tokens, targets }) => ({ loss: loss(config, unpack(layout, params), tokens, targets) }),
    { params: flat(layout), ...batchInputs(shape) },
  );
}

/**
 * One whole training step: forward, backward, clip and AdamW in one program. Scalars: those of the optimizer.
 * Outputs: `loss`, `gradNorm` (before clipping); `params`, `m` and `v` are updated in place.
 */
export function traceTrainStep(config: ModelConfig, shape: BatchShape): Graph {
  const layout = layoutParameters(config);
  return trace(
    (inputs) => {
      const { value, grads } = lossAndGradients(config, layout, inputs);
      return { loss: value, ...applyGradients(layout, inputs, grads) };
    },
    { ...optimizerInputs(layout), ...batchInputs(shape), ...optimizerScalars },
    { donates: OPTIMIZER_DONATES },
  );
}

/**
 * One micro step of a step whose batch does not fit at once: adds `weight` times this batch's gradients and loss to
 * `grads` and `lossSum`. With `keep` 0 (the first micro step) what they held before is dropped.
 */
export function traceMicroStep(config: ModelConfig, shape: BatchShape): Graph {
  const layout = layoutParameters(config);
  return trace(
    (inputs) => {
      const { value, grads } = lossAndGradients(config, layout, inputs);
      const { keep, weight } = inputs;
      // A selection, not a product: 0 times what a fresh buffer holds may be NaN.
      const kept = (sum: Tensor) => where(keep.gt(0), sum, 0);
      return {
        grads: kept(inputs.grads).add(grads.mul(weight)),
        lossSum: kept(inputs.lossSum).add(value.mul(weight)),
      };
    },
    {
      params: flat(layout),
      grads: flat(layout),
      lossSum: { shape: [], dtype: "f32", role: "state" },
      ...batchInputs(shape),
      keep: scalar("f32"),
      weight: scalar("f32"),
    },
    { donates: { grads: "grads", lossSum: "lossSum" } },
  );
}

/** Ends a step of micro steps: clip and AdamW on the summed `grads`. Outputs as {@link traceTrainStep}. */
export function traceApplyStep(config: ModelConfig): Graph {
  const layout = layoutParameters(config);
  return trace(
    (inputs) => ({ loss: inputs.lossSum.add(0), ...applyGradients(layout, inputs, inputs.grads) }),
    {
      ...optimizerInputs(layout),
      grads: flat(layout),
      lossSum: { shape: [], dtype: "f32", role: "state" },
      ...optimizerScalars,
    },
    { donates: OPTIMIZER_DONATES },
  );
}

/** Sizes of a generation program. */
export interface SampleShape {
  /** Tokens of the state tensor `history`: prompt and everything generated. */
  readonly history: number;
  /** Tokens that the model looks at, at most its context. */
  readonly window: number;
}

/**
 * One generated token: looks at `window` tokens of the state tensor `history` (i32 [history]) from `start` on, draws
 * the token after `position`, and stores it at `position + 1`. Scalars: `start`, `position` (i32), `temperature`,
 * `topK` (f32), `key` (u32, another one for each position). Many runs can follow each other without a readback.
 */
export function traceSample(config: ModelConfig, { history, window }: SampleShape): Graph {
  const layout = layoutParameters(config);
  return trace(
    ({ params, history: tokens, start, position, ...sampling }) => {
      const seen = tokens.gather(iota([window], 0).add(start)).reshape([1, window]);
      const logits = logitsAt(config, unpack(layout, params), seen, position.sub(start));
      const { temperature, topK, key } = sampling;
      const token = sampleToken(logits, { temperature, topK, key });
      return { history: placeToken(tokens, position.add(1), token) };
    },
    {
      params: flat(layout),
      history: { shape: [history], dtype: "i32", role: "state" },
      start: scalar("i32"),
      position: scalar("i32"),
      temperature: scalar("f32"),
      topK: scalar("f32"),
      key: scalar("u32"),
    },
    { donates: { history: "history" } },
  );
}

/** Loss of a batch and its gradients, packed as the parameters are. */
function lossAndGradients(config: ModelConfig, layout: ParameterLayout, inputs: Inputs) {
  const params = unpack(layout, inputs.params);
  const value = loss(config, params, inputs.tokens, inputs.targets);
  const names = Object.keys(params);
  const gradients = grad(value, Object.values(params));
  const byName = Object.fromEntries(names.map((name, index) => [name, gradients[index]]));
  return { value, grads: phase("backward", () => pack(layout, byName)) };
}

/** Clips and applies flat gradients. */
function applyGradients(layout: ParameterLayout, inputs: Inputs, grads: Tensor) {
  return phase("optimizer", () => {
    const { clipped, norm } = clipByGlobalNorm(grads);
    const state: OptimizerState = { params: inputs.params, m: inputs.m, v: inputs.v };
    const scalars: StepScalars = {
      learningRate: inputs.learningRate,
      correction1: inputs.correction1,
      correction2: inputs.correction2,
    };
    return { gradNorm: norm, ...adamw(layout, state, clipped, scalars) };
  });
}
