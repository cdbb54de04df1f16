/**
 * The rungs of the ladder: one training step of GPT-2, written and compiled with ever more of what makes it fast. The
 * first rungs are switches of the compiler; the others replace a simple formulation (whole logits, one update for each
 * tensor, an unpadded vocabulary) by the one that `model/` trains with.
 *
 * @module
 */
import {
  grad,
  type Graph,
  type InputSpec,
  type Optimization,
  phase,
  scope,
  type Tensor,
  trace,
} from "../compiler/mod.ts";
import { hidden, type Parameters } from "../model/gpt2.ts";
import { adamw, clipByGlobalNorm, type OptimizerState } from "../model/optimizer.ts";
import {
  ALIGNMENT,
  arenaNames,
  layoutParameters,
  pack,
  type ParameterLayout,
  unpack,
} from "../model/params.ts";
import type { Precision } from "../model/precision.ts";
import { traceInit, traceTrainStep } from "../model/programs.ts";
import type { StepCase } from "./cases.ts";

/** How a training step is written and compiled. */
export interface Recipe {
  readonly optimizations: ReadonlySet<Optimization>;
  /** The head and the loss in chunks; otherwise the logits [N, V] are one tensor. */
  readonly chunkedLoss: boolean;
  /** Clipping and AdamW over the flat arenas; otherwise one update for each parameter. */
  readonly flatOptimizer: boolean;
  /** Dtype of what products read and write; f16 only together with both of the above. */
  readonly precision: Precision;
  /** The vocabulary rounded up to a multiple of 64. */
  readonly paddedVocabulary: boolean;
  /** Schedules of kernels measured on the device instead of chosen by rule. */
  readonly tuned: boolean;
}

/** A rung: what it adds to the one below. */
export interface Rung {
  readonly name: string;
  /** What was added, in a few words. */
  readonly title: string;
  readonly recipe: Recipe;
}

const EAGER: Recipe = {
  optimizations: new Set(),
  chunkedLoss: false,
  flatOptimizer: false,
  precision: "f32",
  paddedVocabulary: false,
  tuned: false,
};

/** The rung after which the ladder goes on with the faster of both precisions. */
export const PRECISION_RUNG = "f16";

/** From the bottom up. */
export const RUNGS: readonly Rung[] = climb([
  ["eager", "eager: a kernel for each op", {}],
  ["fusion", "+ pointwise and row fusion", { optimizations: new Set(["loops"]) }],
  ["tiles", "+ matmul tiles", { optimizations: new Set(["loops", "tiles"]) }],
  ["epilogues", "+ epilogues", { optimizations: new Set(["loops", "tiles", "epilogues"]) }],
  ["attention", "+ attention", { optimizations: new Set(["loops", "tiles", "epilogues", "attention"]) }],
  ["chunked-loss", "+ chunked loss", { chunkedLoss: true }],
  ["flat-optimizer", "+ flat optimizer", { flatOptimizer: true }],
  [PRECISION_RUNG, "+ f16", { precision: "f16" }],
  ["padded-vocabulary", "+ padded vocabulary", { paddedVocabulary: true }],
  ["tuner", "+ tuner", { tuned: true }],
]);

/** Everything at once, in f32: what `deno task train` compiles. */
export const TOP: Rung = {
  name: "sinter",
  title: "everything",
  recipe: { ...RUNGS.at(-1)!.recipe, precision: "f32" },
};

function climb(steps: readonly (readonly [string, string, Partial<Recipe>])[]): Rung[] {
  let recipe = EAGER;
  return steps.map(([name, title, change]) => {
    recipe = { ...recipe, ...change };
    return { name, title, recipe };
  });
}

/** The layout of `model/`, or the same without the rows that pad the vocabulary. */
export function layoutOf(shape: StepCase, { paddedVocabulary }: Recipe): ParameterLayout {
  const padded = layoutParameters(shape);
  if (paddedVocabulary || padded.parameters.every(({ rows, shape }) => rows === shape[0])) return padded;
  let offset = 0;
  let decayed = 0;
  const parameters = padded.parameters.map((parameter) => {
    const [, ...rest] = parameter.shape;
    const size = parameter.size / parameter.shape[0] * parameter.rows;
    const placed = { ...parameter, shape: [parameter.rows, ...rest], size, offset };
    offset = Math.ceil((offset + size) / ALIGNMENT) * ALIGNMENT;
    if (placed.shape.length >= 2) decayed = offset;
    return placed;
  });
  return { parameters, decayed, size: offset, arenas: [{ start: 0, end: offset }], count: padded.count };
}

/**
 * One whole training step with the inputs, outputs and states of `traceTrainStep`, as the recipe writes it: the same
 * numbers to rounding, whatever the recipe.
 */
export function traceRung(shape: StepCase, recipe: Recipe): Graph {
  const layout = layoutOf(shape, recipe);
  const { batch, context } = shape;
  if (recipe.chunkedLoss && recipe.flatOptimizer) {
    return traceTrainStep(shape, { batch, context }, layout, recipe.precision);
  }
  const kinds = ["params", "m", "v"] as const;
  const names = kinds.flatMap((kind) => arenaNames(layout, kind));
  const arenas: Record<string, InputSpec> = Object.fromEntries(
    kinds.flatMap((kind) =>
      arenaNames(layout, kind).map((name, i) => {
        const { start, end } = layout.arenas[i];
        return [name, { shape: [end - start], dtype: "f32", role: "state" } as const];
      })
    ),
  );
  const ids = { shape: [batch, context], dtype: "i32", role: "batch" } as const;
  const scalar = { shape: [], dtype: "f32", role: "scalar" } as const;
  return trace(
    (inputs) => {
      const state = Object.fromEntries(
        kinds.map((kind) => [kind, arenaNames(layout, kind).map((name) => inputs[name])]),
      ) as Record<(typeof kinds)[number], Tensor[]>;
      const params = unpack(layout, state.params);
      const value = recipe.chunkedLoss
        ? chunkedLoss(shape, params, inputs.tokens, inputs.targets)
        : wholeLogitsLoss(shape, params, inputs.tokens, inputs.targets);
      const gradients = grad(value, Object.values(params));
      const byName = Object.fromEntries(Object.keys(params).map((name, i) => [name, gradients[i]]));
      return phase("optimizer", () => {
        const scalars = {
          learningRate: inputs.learningRate,
          correction1: inputs.correction1,
          correction2: inputs.correction2,
        };
        if (recipe.flatOptimizer) {
          const { clipped, norm } = clipByGlobalNorm(pack(layout, byName));
          return outputsOf(layout, value, norm, adamw(layout, state, clipped, scalars));
        }
        const { clipped, norm } = clipByGlobalNorm(
          layout.parameters.map(({ name, size }) => byName[name].reshape([size])),
        );
        return outputsOf(layout, value, norm, updateEach(layout, state, clipped, scalars));
      });
    },
    {
      ...arenas,
      tokens: ids,
      targets: ids,
      learningRate: scalar,
      correction1: scalar,
      correction2: scalar,
    } as Record<string, InputSpec>,
    { donates: Object.fromEntries(names.map((name) => [name, name])) },
  );
}

/** Fills the states of {@link traceRung}: the same parameters for every recipe. Scalar: `key` (u32). */
export function traceRungInit(shape: StepCase, recipe: Recipe): Graph {
  return traceInit(shape, layoutOf(shape, recipe), recipe.precision);
}

/** Mean cross-entropy of logits that exist as one tensor [B·T, V]. */
function wholeLogitsLoss(shape: StepCase, params: Parameters, tokens: Tensor, targets: Tensor): Tensor {
  const rows = shape.batch * shape.context;
  const x = hidden(shape, params, tokens).reshape([rows, shape.width]);
  return scope("head", () =>
    x.matmul(params["wte.weight"], { transB: true })
      .crossEntropy(targets.reshape([rows]), { classes: shape.vocabulary }));
}

function chunkedLoss(shape: StepCase, params: Parameters, tokens: Tensor, targets: Tensor): Tensor {
  const rows = shape.batch * shape.context;
  const x = hidden(shape, params, tokens).reshape([rows, shape.width]);
  return scope(
    "head",
    () => x.linearCrossEntropy(params["wte.weight"], targets.reshape([rows]), { classes: shape.vocabulary }),
  );
}

/** AdamW on one parameter after the other: the layout with an arena for each of them. */
function updateEach(
  layout: ParameterLayout,
  state: OptimizerState,
  grads: readonly Tensor[],
  scalars: Parameters & {
    readonly learningRate: Tensor;
    readonly correction1: Tensor;
    readonly correction2: Tensor;
  },
): OptimizerState {
  const each = {
    ...layout,
    arenas: layout.parameters.map(({ offset, size }) => ({ start: offset, end: offset + size })),
  };
  const cut = (arenas: readonly Tensor[]) =>
    Object.values(unpack(layout, arenas)).map((tensor, i) => tensor.reshape([layout.parameters[i].size]));
  const next = adamw(
    each,
    { params: cut(state.params), m: cut(state.m), v: cut(state.v) },
    grads,
    scalars,
  );
  const join = (tensors: readonly Tensor[]) =>
    pack(layout, Object.fromEntries(layout.parameters.map(({ name }, i) => [name, tensors[i]])));
  return { params: join(next.params), m: join(next.m), v: join(next.v) };
}

function outputsOf(
  layout: ParameterLayout,
  loss: Tensor,
  gradNorm: Tensor,
  next: OptimizerState,
): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = { loss, gradNorm };
  for (const kind of ["params", "m", "v"] as const) {
    arenaNames(layout, kind).forEach((name, i) => outputs[name] = next[kind][i]);
  }
  return outputs;
}
