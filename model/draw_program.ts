/**
 * The draw of one token for each sequence of a step, traced: logits to tokens, on the device. What was drawn is kept in a
 * ring of {@link RING_TICKS} steps until the host reads it, and becomes the token that the sequence feeds next.
 *
 * States: `token`, i32 [slots]; `seen`, i32 [slots · padded vocabulary], 1 where a slot's text has the token; the ring's
 * `drawn` i32, `drawn_logprob` f32 [ticks · slots], `top_token` i32, `top_logprob` f32 [ticks · slots · 5].
 *
 * @module
 */
import { type Graph, type InputSpec, iota, type Tensor, trace } from "../compiler/mod.ts";
import { type ModelConfig, paddedVocabulary } from "./config.ts";
import { logitsName, type StepShape } from "./decode_programs.ts";
import { MAX_LOGPROBS } from "./generation.ts";
import { donatesThemselves } from "./programs.ts";
import { logprobsOf, sampleTokens } from "./sampler.ts";

/** Steps that can follow each other before the host reads what they drew. */
export const RING_TICKS = 64;

/** What requests ask of a draw besides temperature; what nobody asks for is left out of the program. */
export interface DrawFeatures {
  readonly topK: boolean;
  readonly topP: boolean;
  readonly minP: boolean;
  /** A repetition penalty. */
  readonly penalty: boolean;
  /** Log-probabilities. */
  readonly logprobs: boolean;
}

/** Temperature alone. */
export const NO_FEATURES: DrawFeatures = {
  topK: false,
  topP: false,
  minP: false,
  penalty: false,
  logprobs: false,
};

/** States of the ring. */
export const DRAWN_STATES = ["drawn", "drawn_logprob", "top_token", "top_logprob"] as const;
/** Name of one. */
export type DrawnStates = (typeof DRAWN_STATES)[number];

/**
 * Draws a token for each row of the logits and stores it as its slot's next one; a row whose `slot` is negative takes no
 * part. Batch inputs, [S] each: `slot`, `forced` (i32; the token to take instead, unless negative), `key` (u32),
 * `temperature` (f32), and those of the features. Scalar `tick`: place in the ring.
 */
export function traceDraw(
  config: ModelConfig,
  { slots, sequences: S }: StepShape,
  { topK, topP, minP, penalty, logprobs }: DrawFeatures,
): Graph {
  const { vocabulary } = config;
  const padded = paddedVocabulary(config);
  const of = (dtype: "i32" | "u32" | "f32") => ({ shape: [S], dtype, role: "batch" } as const);
  const ring = (
    dtype: "i32" | "f32",
    each = 1,
  ) => ({ shape: [RING_TICKS * slots * each], dtype, role: "state" } as const);
  const states: Record<string, InputSpec> = {
    token: { shape: [slots], dtype: "i32", role: "state" },
    drawn: ring("i32"),
    ...penalty ? { seen: { shape: [slots * padded], dtype: "i32", role: "state" } } : {},
    ...logprobs
      ? {
        drawn_logprob: ring("f32"),
        top_token: ring("i32", MAX_LOGPROBS),
        top_logprob: ring("f32", MAX_LOGPROBS),
      }
      : {},
  };
  const specs: Record<string, InputSpec> = {
    ...states,
    [logitsName(S)]: { shape: [S, padded], dtype: "f32", role: "state" },
    slot: of("i32"),
    forced: of("i32"),
    key: of("u32"),
    temperature: of("f32"),
    ...topK ? { topK: of("f32") } : {},
    ...topP ? { topP: of("f32") } : {},
    ...minP ? { minP: of("f32") } : {},
    ...penalty ? { repetitionPenalty: of("f32") } : {},
    tick: { shape: [], dtype: "i32", role: "scalar" },
  };
  return trace(
    (inputs) => {
      const logits = inputs[logitsName(S)];
      const { slot, forced, tick } = inputs;
      const drawn = sampleTokens(logits, {
        vocabulary,
        key: inputs.key,
        temperature: inputs.temperature,
        topK: inputs.topK,
        topP: inputs.topP,
        minP: inputs.minP,
        ...penalty
          ? {
            penalty: {
              seen: inputs.seen.reshape([slots, padded]).gather(slot),
              factor: inputs.repetitionPenalty,
            },
          }
          : {},
      });
      const token = forced.where(forced.ge(0), drawn);
      const place = tick.mul(slots).add(iota([S], 0));
      const outputs: Record<string, Tensor> = {
        token: inputs.token.setRows(slot, token),
        drawn: inputs.drawn.setRows(place, token),
      };
      if (penalty) {
        const at = slot.mul(padded).add(token).where(slot.ge(0), -1);
        outputs.seen = inputs.seen.setRows(at, iota([S], 0).mul(0).add(1));
      }
      if (logprobs) {
        const { own, topTokens, topLogprobs } = logprobsOf(logits, token, { vocabulary, top: MAX_LOGPROBS });
        const places = place.reshape([S, 1]).mul(MAX_LOGPROBS).add(iota([S, MAX_LOGPROBS], 1))
          .reshape([S * MAX_LOGPROBS]);
        const flat = (tensor: Tensor) => tensor.reshape([S * MAX_LOGPROBS]);
        outputs.drawn_logprob = inputs.drawn_logprob.setRows(place, own);
        outputs.top_token = inputs.top_token.setRows(places, flat(topTokens));
        outputs.top_logprob = inputs.top_logprob.setRows(places, flat(topLogprobs));
      }
      return outputs;
    },
    specs,
    { donates: donatesThemselves(Object.keys(states)) },
  );
}
