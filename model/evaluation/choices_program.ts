/**
 * The program of multiple choice, traced: the loss of every token of the endings that `packing.ts` has laid out. Contexts are
 * computed once for all of their endings, and the head only where a loss is taken, a few hundred rows at a time: whole logits
 * would be most of the memory of a small batch.
 *
 * Shape letters: R rows, T tokens of a row, M scored tokens, S slots for results, C channels, H heads of D channels.
 *
 * @module
 */
import {
  concat,
  type Graph,
  type InputSpec,
  iota,
  scope,
  type Tensor,
  trace,
  where,
} from "../../compiler/mod.ts";
import { type ModelConfig, paddedVocabulary } from "../config.ts";
import { hidden, logits, type Parameters } from "../gpt2.ts";
import { layoutParameters, type ParameterLayout } from "../params.ts";
import { modelParameters, type Precision } from "../precision.ts";
import { arenaInputs, arenas, donatesThemselves } from "../programs.ts";
import type { PackedShape } from "./packing.ts";

/** Sizes of the program. */
export interface ChoicesShape extends PackedShape {
  /** Runs whose losses are kept until they are read. */
  readonly slots: number;
}

/** Name of the state that the losses are left in, f32 [S, M]: another one for each shape. */
export function lossesState({ slots, scored }: ChoicesShape): string {
  return `choice_losses_${slots}x${scored}`;
}

/** Weight of a token that may not be seen. */
const HIDDEN = -1e30;

/** A score below every logit. */
const NEVER = -3e38;

/** Logits that are held at once, 64 MiB of f32. */
const CHUNK_LOGITS = 2 ** 24;

/**
 * Losses in nats of the tokens `targets` (i32 [M]) behind the places `places` (i32 [M], counted over all rows) of `tokens`,
 * left in row `slot` (i32) of {@link lossesState}. Batch inputs of the rows, all i32 [R, T]: `tokens`, `positions`, `own`
 * (the segment of each token) and `root` (the segment that it continues): a token sees what stands before it in either.
 */
export function traceChoices(
  config: ModelConfig,
  shape: ChoicesShape,
  precision: Precision = "f32",
  layout: ParameterLayout = layoutParameters(config),
): Graph {
  const { rows: R, length: T, scored: M, slots: S } = shape;
  const state = lossesState(shape);
  const perToken = { shape: [R, T], dtype: "i32", role: "batch" } as const;
  const perScore = { shape: [M], dtype: "i32", role: "batch" } as const;
  return trace(
    (inputs) => {
      const { tokens, positions, own, root, places, targets, slot } = inputs;
      const params = modelParameters(layout, arenaInputs(layout, "params", inputs), precision);
      const seen = scope("segments", () => visible(own, root));
      const x = hidden(config, params, tokens, {
        positions,
        attend: (_, q, k, v) => attendAmong(seen, q, k, v),
      });
      const scored = x.reshape([R * T, config.width]).gather(places); // [M, C]
      const losses = tokenLosses(config, params, scored, targets);
      return { [state]: inputs[state].setRows(slot.reshape([1]), losses.reshape([1, M])) };
    },
    {
      ...arenas(layout, "params"),
      [state]: { shape: [S, M], dtype: "f32", role: "state" },
      tokens: perToken,
      positions: perToken,
      own: perToken,
      root: perToken,
      places: perScore,
      targets: perScore,
      slot: { shape: [], dtype: "i32", role: "scalar" },
    } as Record<string, InputSpec>,
    { donates: donatesThemselves([state]) },
  );
}

/** bool [R, 1, T, T]: whether the token of the row sees that of the column. */
function visible(own: Tensor, root: Tensor): Tensor {
  const [R, T] = own.shape;
  const column = own.reshape([R, 1, 1, T]);
  const row = (segment: Tensor) => segment.reshape([R, 1, T, 1]);
  const isBefore = iota([1, 1, T, T], 3).le(iota([1, 1, T, T], 2));
  return column.eq(row(own)).or(column.eq(row(root))).and(isBefore);
}

/** Attention [R, H, T, D] of q, k and v [R, H, T, D]; weights and their sums in f32. */
function attendAmong(seen: Tensor, q: Tensor, k: Tensor, v: Tensor): Tensor {
  const D = q.shape[3];
  const scores = q.cast("f32").matmul(k.cast("f32"), { transB: true }).mul(1 / Math.sqrt(D));
  return scores.where(seen, HIDDEN).softmax().cast(v.dtype).matmul(v);
}

/** Cross-entropy [M] in nats of `targets` (i32 [M]) by rows x [M, C] of the residual stream. */
function tokenLosses(config: ModelConfig, params: Parameters, x: Tensor, targets: Tensor): Tensor {
  const [M, C] = x.shape;
  const most = Math.max(1, Math.floor(CHUNK_LOGITS / paddedVocabulary(config)));
  const size = Math.ceil(M / Math.ceil(M / most));
  const losses: Tensor[] = [];
  for (let start = 0; start < M; start += size) {
    const end = Math.min(M, start + size);
    const scores = logits(params, x.slice([start, 0], [end, C]));
    losses.push(scope("head", () => lossesOf(scores, targets.slice([start], [end]), config.vocabulary)));
  }
  return losses.length === 1 ? losses[0] : concat(losses, 0);
}

function lossesOf(scores: Tensor, targets: Tensor, vocabulary: number): Tensor {
  const [N] = scores.shape;
  const column = iota(scores.shape, 1);
  const real = where(column.lt(vocabulary), scores, NEVER); // not the padded rows
  const highest = real.max([1], { keepDims: true });
  const total = real.sub(highest).exp().sum([1]).log().add(highest.reshape([N]));
  return total.sub(real.where(column.eq(targets.reshape([N, 1])), 0).sum([1]));
}
