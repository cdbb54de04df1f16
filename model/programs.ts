/**
 * The programs of training and generation, traced: each function gives a graph for the compiler. They share state
 * tensors by name (`params`, `m`, `v`, `grads`, …), which stay on the device from one program to the next.
 *
 * @module
 */
import {
  constant,
  type DType,
  grad,
  type Graph,
  type InputSpec,
  iota,
  phase,
  type Tensor,
  trace,
  where,
} from "../compiler/mod.ts";
import type { ModelConfig } from "./config.ts";
import { logitsAt, loss } from "./gpt2.ts";
import { initialParameters, zeros } from "./init.ts";
import { adamw, clipByGlobalNorm, type OptimizerState, type StepScalars } from "./optimizer.ts";
import { arenaNames, layoutParameters, pack, type ParameterLayout, unpack } from "./params.ts";
import {
  isScaled,
  LOSS_SCALING,
  masterGradients,
  modelParameters,
  nextScaling,
  type Precision,
  SCALING_STATES,
} from "./precision.ts";
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

/** A number that stays on the device. */
const NUMBER = { shape: [], dtype: "f32", role: "state" } as const;

/** Specifications of the arenas that hold `kind`, by state name. */
export function arenas(
  layout: ParameterLayout,
  kind: string,
  dtype: DType = "f32",
): Record<string, InputSpec> {
  const names = arenaNames(layout, kind);
  return Object.fromEntries(
    layout.arenas.map((
      { start, end },
      i,
    ) => [names[i], { shape: [end - start], dtype, role: "state" }]),
  );
}

/** The traced arenas of `kind`. */
export function arenaInputs(layout: ParameterLayout, kind: string, inputs: Inputs): Tensor[] {
  return arenaNames(layout, kind).map((name) => inputs[name]);
}

/** Arenas of `kind` as outputs, by state name. */
function arenaOutputs(
  layout: ParameterLayout,
  kind: string,
  tensors: readonly Tensor[],
): Record<string, Tensor> {
  const names = arenaNames(layout, kind);
  return Object.fromEntries(tensors.map((tensor, i) => [names[i], tensor]));
}

const OPTIMIZER_KINDS = ["params", "m", "v"] as const;

const optimizerInputs = (layout: ParameterLayout): Record<string, InputSpec> =>
  Object.assign({}, ...OPTIMIZER_KINDS.map((kind) => arenas(layout, kind)));

/** State of the loss scale, where the precision needs one. */
const scalingInputs = (precision: Precision): Record<string, InputSpec> =>
  isScaled(precision) ? Object.fromEntries(SCALING_STATES.map((name) => [name, NUMBER])) : {};

/** Every arena of these kinds takes the place of the state of its name. */
function donatesArenas(layout: ParameterLayout, kinds: readonly string[]): Record<string, string> {
  return donatesThemselves(kinds.flatMap((kind) => arenaNames(layout, kind)));
}

export function donatesThemselves(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, name]));
}

/** Everything that an optimizer step updates in place. */
function donatesOptimizer(layout: ParameterLayout, precision: Precision): Record<string, string> {
  return {
    ...donatesArenas(layout, OPTIMIZER_KINDS),
    ...donatesThemselves(Object.keys(scalingInputs(precision))),
  };
}

const optimizerScalars = {
  learningRate: scalar("f32"),
  correction1: scalar("f32"),
  correction2: scalar("f32"),
};

const batchInputs = ({ batch, context }: BatchShape) => ({
  tokens: { shape: [batch, context], dtype: "i32", role: "batch" } as const,
  targets: { shape: [batch, context], dtype: "i32", role: "batch" } as const,
});

/** Fills `params`, `m`, `v` and the loss scale for a fresh run. Scalar: `key` (u32), from the seed. */
export function traceInit(
  config: ModelConfig,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    ({ key }) => ({
      ...arenaOutputs(layout, "params", initialParameters(layout, key)),
      ...arenaOutputs(layout, "m", zeros(layout)),
      ...arenaOutputs(layout, "v", zeros(layout)),
      ...isScaled(precision)
        ? { lossScale: constant(LOSS_SCALING.initial, "f32"), goodSteps: constant(0, "f32") }
        : {},
    }),
    { ...optimizerInputs(layout), ...scalingInputs(precision), key: scalar("u32") },
    { donates: donatesOptimizer(layout, precision) },
  );
}

/** The loss of a batch: the forward graph alone. Output: `loss`. */
export function traceLoss(
  config: ModelConfig,
  shape: BatchShape,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    (inputs) => {
      const params = modelParameters(layout, arenaInputs(layout, "params", inputs), precision);
      return { loss: loss(config, params, inputs.tokens, inputs.targets) };
    },
    { ...arenas(layout, "params"), ...batchInputs(shape) } as Record<string, InputSpec>,
  );
}

/**
 * One whole training step: forward, backward, clip and AdamW in one program. Scalars: those of the optimizer.
 * Outputs: `loss`, `gradNorm` (before clipping; not finite in a step that does not count because gradients overflowed);
 * `params`, `m`, `v` and, where there is one, `lossScale` are updated in place.
 *
 * @example
 * ```ts
 * import { BASELINE, compileGraph } from "@sinter/sinter/compiler";
 * import { resolveConfig, traceTrainStep } from "@sinter/sinter/model";
 * const config = resolveConfig("nano", { layers: 1, width: 32, heads: 1 });
 * const program = compileGraph(traceTrainStep(config, { batch: 2, context: 16 }), BASELINE);
 * console.log(program.kernels.length, program.memory.peakBytes);
 * ```
 */
export function traceTrainStep(
  config: ModelConfig,
  shape: BatchShape,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    (inputs) => {
      const { value, grads } = lossAndGradients(config, layout, precision, inputs);
      return { loss: value, ...applyGradients(layout, precision, inputs, grads) };
    },
    {
      ...optimizerInputs(layout),
      ...scalingInputs(precision),
      ...batchInputs(shape),
      ...optimizerScalars,
    } as Record<string, InputSpec>,
    { donates: donatesOptimizer(layout, precision) },
  );
}

/**
 * One micro step of a step whose batch does not fit at once: adds `weight` times this batch's gradients and loss to
 * `grads` and `lossSum`; gradients are those of the scaled loss. With `keep` 0 (the first micro step) what they held before is dropped.
 */
export function traceMicroStep(
  config: ModelConfig,
  shape: BatchShape,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    (inputs) => {
      const { value, grads } = lossAndGradients(config, layout, precision, inputs);
      const { keep, weight } = inputs;
      // A selection, not a product: 0 times what a fresh buffer holds may be NaN.
      const kept = (sum: Tensor) => where(keep.gt(0), sum, 0);
      const sums = arenaInputs(layout, "grads", inputs).map((sum, i) => kept(sum).add(grads[i].mul(weight)));
      return {
        ...arenaOutputs(layout, "grads", sums),
        lossSum: kept(inputs.lossSum).add(value.mul(weight)),
      };
    },
    {
      ...arenas(layout, "params"),
      ...arenas(layout, "grads"),
      ...isScaled(precision) ? { lossScale: NUMBER } : {},
      lossSum: NUMBER,
      ...batchInputs(shape),
      keep: scalar("f32"),
      weight: scalar("f32"),
    } as Record<string, InputSpec>,
    { donates: { ...donatesArenas(layout, ["grads"]), lossSum: "lossSum" } },
  );
}

/** Ends a step of micro steps: clip and AdamW on the summed `grads`. Outputs as {@link traceTrainStep}. */
export function traceApplyStep(
  config: ModelConfig,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    (inputs) => ({
      loss: inputs.lossSum.add(0),
      ...applyGradients(layout, precision, inputs, arenaInputs(layout, "grads", inputs)),
    }),
    {
      ...optimizerInputs(layout),
      ...scalingInputs(precision),
      ...arenas(layout, "grads"),
      lossSum: NUMBER,
      ...optimizerScalars,
    } as Record<string, InputSpec>,
    { donates: donatesOptimizer(layout, precision) },
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
 * `topK` (f32), `key` (u32, another one for each position). Many runs can follow each other without a readback. Works in
 * f32 whatever the model was trained in: to cast all weights for one token would cost more than f16 saves.
 */
export function traceSample(
  config: ModelConfig,
  { history, window }: SampleShape,
  layout: ParameterLayout = layoutParameters(config),
): Graph {
  return trace(
    ({ history: tokens, start, position, ...others }) => {
      const params = unpack(layout, arenaInputs(layout, "params", others));
      const seen = tokens.gather(iota([window], 0).add(start)).reshape([1, window]);
      const logits = logitsAt(config, params, seen, position.sub(start));
      const { temperature, topK, key } = others;
      const token = sampleToken(logits, { temperature, topK, key });
      return { history: placeToken(tokens, position.add(1), token) };
    },
    {
      ...arenas(layout, "params"),
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

/**
 * The gradients of a batch alone: what a step computes before it changes anything. Outputs: `loss`, and `grads` of the loss times
 * its scale.
 */
export function traceGradients(
  config: ModelConfig,
  shape: BatchShape,
  layout: ParameterLayout = layoutParameters(config),
  precision: Precision = "f32",
): Graph {
  return trace(
    (inputs) => {
      const { value, grads } = lossAndGradients(config, layout, precision, inputs);
      return { loss: value, ...arenaOutputs(layout, "grads", grads) };
    },
    {
      ...arenas(layout, "params"),
      ...isScaled(precision) ? { lossScale: NUMBER } : {},
      ...batchInputs(shape),
    } as Record<string, InputSpec>,
  );
}

/** Loss of a batch, and the gradients of the loss times its scale, packed as the parameters are. */
function lossAndGradients(
  config: ModelConfig,
  layout: ParameterLayout,
  precision: Precision,
  inputs: Inputs,
) {
  const params = modelParameters(layout, arenaInputs(layout, "params", inputs), precision);
  const value = loss(config, params, inputs.tokens, inputs.targets);
  const scaled = isScaled(precision) ? value.mul(inputs.lossScale) : value;
  const gradients = grad(scaled, Object.values(params));
  const byName = Object.fromEntries(Object.keys(params).map((name, index) => [name, gradients[index]]));
  return { value, grads: phase("backward", () => pack(layout, masterGradients(byName))) };
}

/** Clips and applies flat gradients. */
function applyGradients(
  layout: ParameterLayout,
  precision: Precision,
  inputs: Inputs,
  grads: readonly Tensor[],
): Record<string, Tensor> {
  return phase("optimizer", () => {
    const { lossScale, goodSteps } = inputs;
    const { clipped, norm } = clipByGlobalNorm(grads, isScaled(precision) ? lossScale : undefined);
    // Whatever becomes of a run with such gradients, its weights are still there to be looked at.
    const finite = norm.isFinite();
    const state: OptimizerState = {
      params: arenaInputs(layout, "params", inputs),
      m: arenaInputs(layout, "m", inputs),
      v: arenaInputs(layout, "v", inputs),
    };
    const scalars: StepScalars = {
      learningRate: inputs.learningRate,
      correction1: inputs.correction1,
      correction2: inputs.correction2,
    };
    const next = adamw(layout, state, clipped, scalars, finite);
    const outputs = OPTIMIZER_KINDS.map((kind) => arenaOutputs(layout, kind, next[kind]));
    const scaling = isScaled(precision) ? nextScaling({ lossScale, goodSteps }, finite) : {};
    return Object.assign({ gradNorm: norm }, ...outputs, scaling);
  });
}
