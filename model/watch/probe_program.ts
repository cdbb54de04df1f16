/**
 * The probe, traced: one forward pass over two sequences that keeps what training never stores. The first sequence is the prompt;
 * the second repeats random tokens once, which is where induction heads show. Both are padded at their ends, which no token
 * before can see.
 *
 * Shape letters: L layers, H heads, T tokens of a sequence, P tokens of the prompt, R tokens that are repeated, K likeliest tokens.
 *
 * @module
 */
import { concat, type Graph, type InputSpec, iota, scope, type Tensor, trace } from "../../compiler/mod.ts";
import type { ModelConfig } from "../config.ts";
import { hidden, logits } from "../gpt2.ts";
import { layoutParameters, type Parameter, type ParameterLayout, unpack } from "../params.ts";
import { arenaInputs, arenas, donatesThemselves } from "../programs.ts";
import { logprobsOf } from "../sampler.ts";
import { TOP } from "./observation.ts";

/** Sizes of a probe. */
export interface ProbeShape {
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** Tokens that the second sequence repeats; 0 or 1: none. */
  readonly repeated: number;
  /** Tokens of both sequences with their padding, at most the model's context. */
  readonly length: number;
  /** Likeliest tokens of each position. */
  readonly top: number;
  /** Parameters that are copied, by name. */
  readonly tensors: readonly string[];
}

/** Most tokens that are repeated: the induction score is a mean over as many places. */
const MOST_REPEATED = 24;
/** Sequences are padded to a multiple of so many tokens, so that tiles fit. */
const ROUND = 8;

/** The probe of a prompt of so many tokens. */
export function probeShape(config: ModelConfig, prompt: number, tensors: readonly string[] = []): ProbeShape {
  const { context, vocabulary } = config;
  const repeated = Math.min(MOST_REPEATED, context >> 1, vocabulary);
  const needed = Math.max(prompt, 2 * repeated);
  const length = Math.min(context, Math.ceil(needed / ROUND) * ROUND);
  return { prompt, repeated, length, top: Math.min(TOP, vocabulary), tensors };
}

/** Weight of a token that may not be seen. */
const HIDDEN = -1e30;

/**
 * One look at a model. Batch inputs: `tokens` and `targets` (the tokens after them), i32 [2, T]. States that it fills:
 *
 *   probe_attention   f32 [L, H, P, P], weights of the prompt's tokens
 *   probe_repeats     f32 [L, H, 2], mean weight on the same token of the repetition before, and on the one after it
 *   probe_top_token, probe_top_logprob   i32 and f32 [P, K]
 *   probe_next        f32 [P], log-probability of the prompt's targets
 *   probe_repeat_next f32 [2R], that of the second sequence's (without a second sequence: [1], of no meaning)
 *   probe_tensors     f32, the chosen parameters one after the other; absent when there are none
 */
export function traceProbe(
  config: ModelConfig,
  shape: ProbeShape,
  layout: ParameterLayout = layoutParameters(config),
): Graph {
  const { length: T } = shape;
  const states = probeStates(config, shape, layout);
  const sizes = new Map(layout.parameters.map((parameter) => [parameter.name, usedSize(parameter)]));
  return trace(
    (inputs) => {
      const { tokens, targets } = inputs;
      const params = unpack(layout, arenaInputs(layout, "params", inputs));
      const maps: Tensor[] = [];
      const x = hidden(config, params, tokens, {
        attend: (_, q, k, v) => {
          const weights = attentionWeights(q, k);
          maps.push(weights);
          return weights.matmul(v);
        },
      });
      const outputs: Record<string, Tensor> = {
        ...attentionOutputs(config, shape, maps),
        ...predictionOutputs(config, shape, { x, targets, score: (rows) => logits(params, rows) }),
      };
      if (shape.tensors.length > 0) {
        const used = (name: string) => params[name].reshape([-1]).slice([0], [sizes.get(name)!]);
        outputs.probe_tensors = concat(shape.tensors.map(used), 0);
      }
      return outputs;
    },
    {
      ...arenas(layout, "params"),
      ...states,
      tokens: { shape: [2, T], dtype: "i32", role: "batch" },
      targets: { shape: [2, T], dtype: "i32", role: "batch" },
    } as Record<string, InputSpec>,
    { donates: donatesThemselves(Object.keys(states)) },
  );
}

/** The states that {@link traceProbe} fills. */
export function probeStates(
  { layers: L, heads: H }: ModelConfig,
  { prompt: P, repeated: R, top: K, tensors }: ProbeShape,
  { parameters }: ParameterLayout,
): Record<string, InputSpec> {
  const state = (
    shape: readonly number[],
    dtype: "f32" | "i32" = "f32",
  ) => ({ shape, dtype, role: "state" } as const);
  const chosen = parameters.filter(({ name }) => tensors.includes(name));
  return {
    probe_attention: state([L, H, P, P]),
    probe_repeats: state([L, H, 2]),
    probe_top_token: state([P, K], "i32"),
    probe_top_logprob: state([P, K]),
    probe_next: state([P]),
    probe_repeat_next: state([Math.max(1, 2 * R)]),
    ...chosen.length > 0
      ? { probe_tensors: state([chosen.reduce((sum, parameter) => sum + usedSize(parameter), 0)]) }
      : {},
  };
}

/** Elements of a parameter without padded rows. */
export function usedSize({ size, shape, rows }: Parameter): number {
  return size / shape[0] * rows;
}

/** softmax(q·kᵀ / √D) [B, H, T, T] of q and k [B, H, T, D]; 0 where a token would see one after it. */
function attentionWeights(q: Tensor, k: Tensor): Tensor {
  const [, , T, D] = q.shape;
  const scores = q.matmul(k, { transB: true }).mul(1 / Math.sqrt(D));
  const isSeen = iota([T, T], 1).le(iota([T, T], 0));
  return scores.where(isSeen, HIDDEN).softmax();
}

function attentionOutputs(
  { layers: L, heads: H }: ModelConfig,
  { prompt: P, repeated: R, length: T }: ProbeShape,
  maps: readonly Tensor[],
): Record<string, Tensor> {
  return scope("probe", () => {
    const ofPrompt = maps.map((map) => map.slice([0, 0, 0, 0], [1, H, P, P]));
    const row = iota([T, T], 0);
    const column = iota([T, T], 1);
    const isSecond = row.ge(R).and(row.lt(2 * R));
    /** Mean weight, in the second half, of the column so many places back. */
    const back = (map: Tensor, places: number) =>
      map.slice([1, 0, 0, 0], [2, H, T, T]).where(isSecond.and(column.eq(row.sub(places))), 0)
        .sum([2, 3]).mul(1 / Math.max(1, R)).reshape([1, H, 1]);
    const repeats = maps.map((map) => concat([back(map, R), back(map, R - 1)], 2));
    return {
      probe_attention: concat(ofPrompt, 0).reshape([L, H, P, P]),
      probe_repeats: concat(repeats, 0),
    };
  });
}

function predictionOutputs(
  { vocabulary, width: C }: ModelConfig,
  { prompt: P, repeated: R, top }: ProbeShape,
  { x, targets, score }: {
    readonly x: Tensor;
    readonly targets: Tensor;
    readonly score: (rows: Tensor) => Tensor;
  },
): Record<string, Tensor> {
  const predict = (sequence: number, count: number, kept: number) => {
    const rows = x.slice([sequence, 0, 0], [sequence + 1, count, C]);
    const wanted = targets.slice([sequence, 0], [sequence + 1, count]).reshape([count]);
    return scope("probe", () => logprobsOf(score(rows), wanted, { vocabulary, top: kept }));
  };
  const { own, topTokens, topLogprobs } = predict(0, P, top);
  return {
    probe_next: own,
    probe_top_token: topTokens,
    probe_top_logprob: topLogprobs,
    probe_repeat_next: predict(1, Math.max(1, 2 * R), 1).own,
  };
}
