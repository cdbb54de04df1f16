/**
 * Generation with a cache, traced. The device keeps keys and values of every position of every sequence, so a token costs
 * one row of each product and not a whole window. A sequence has a slot of the cache, and any `sequences`
 * of them take part in a step. Three programs share the states:
 *
 *   prefill   a piece of one sequence's prompt -> its rows of the cache
 *   decode    the newest token of each sequence -> its row of the cache, and the logits of the token after it
 *   draw      logits -> the next token, which the next decode step reads; nothing crosses to the host in between
 *
 * Parameters are in the layout of `serving_layout.ts`. States: `keys_0`, `values_0`, … of each layer, f32 [slots · heads · context, D]; `token`, i32 [slots]; `logits_S`, f32
 * [S, padded vocabulary] for steps of S sequences. A row's numbers do not depend on the other rows, nor on how many there
 * are: the same request gives the same text, alone or beside others.
 *
 * @module
 */
import {
  cachedAttention,
  type Graph,
  type InputSpec,
  iota,
  scope,
  type Tensor,
  trace,
  where,
} from "../compiler/mod.ts";
import { headWidth, type ModelConfig, paddedVocabulary } from "./config.ts";
import { hidden, logits, type Parameters } from "./gpt2.ts";
import { layoutParameters, type ParameterLayout } from "./params.ts";
import { arenaInputs, arenas, donatesThemselves } from "./programs.ts";
import type { Precision } from "./precision.ts";
import { unpackServing } from "./serving_layout.ts";

/** Sizes of a cache, and what the parameters are kept in. */
export interface CacheShape {
  /** Sequences that it has room for. */
  readonly slots: number;
  /** Dtype of the parameters in memory; f32 by default. Everything is computed in f32 whatever it is. */
  readonly dtype?: Precision;
}

/** Sizes of a step. */
export interface StepShape extends CacheShape {
  /** Sequences that take part, at most. */
  readonly sequences: number;
}

/** Sizes of a piece of a prompt. */
export interface PieceShape extends CacheShape {
  /** Tokens of the piece. */
  readonly tokens: number;
}

const scalar = (dtype: "i32") => ({ shape: [], dtype, role: "scalar" } as const);

/** Elements of one layer's keys, or values. */
export function cacheElements(config: ModelConfig, { slots }: CacheShape): number {
  return slots * config.context * config.width;
}

/** Names of the states that hold the cache. */
export function cacheNames({ layers }: ModelConfig): string[] {
  return Array.from({ length: layers }, (_, layer) => [`keys_${layer}`, `values_${layer}`]).flat();
}

function cacheInputs(config: ModelConfig, { slots }: CacheShape): Record<string, InputSpec> {
  const shape = [slots * config.heads * config.context, headWidth(config)];
  return Object.fromEntries(
    cacheNames(config).map((name) => [name, { shape, dtype: "f32", role: "state" }]),
  );
}

/** State that holds the logits of a step of so many sequences. */
export function logitsName(sequences: number): string {
  return `logits_${sequences}`;
}

/** The cache while a program is traced: rows are written as layers come by, and read with them in place. */
class Cache {
  readonly outputs: Record<string, Tensor> = {};

  constructor(
    readonly config: ModelConfig,
    readonly shape: CacheShape,
    readonly inputs: Readonly<Record<string, Tensor>>,
  ) {}

  /**
   * Writes `rows` [N, H, T, D] at the places `at` [N, H, T] of one layer's keys or values.
   *
   * @returns The whole cache with them, [slots, H, context, D].
   */
  write(name: string, at: Tensor, rows: Tensor): Tensor {
    const [N, H, T, D] = rows.shape;
    const count = N * H * T;
    const next = this.inputs[name].setRows(at.reshape([count]), rows.reshape([count, D]));
    this.outputs[name] = next;
    return next.reshape([this.shape.slots, H, this.config.context, D]);
  }

  /** Row of the cache of head h of `slot` at `position`, for all heads: [N, H, T] from [N, 1, T] each; -1 where hidden. */
  rows(slot: Tensor, position: Tensor, visible: Tensor): Tensor {
    const { heads, context } = this.config;
    const [N, , T] = position.shape;
    const head = iota([1, heads, 1], 1).broadcastTo([N, heads, T]);
    const row = slot.mul(heads).add(head).mul(context).add(position);
    return where(visible, row, -1);
  }
}

/**
 * A piece of a prompt: writes the keys and values of `tokens` (i32 [1, P], of which the first `count` are real) at the
 * positions from `start` on of `slot` (all i32 scalars). Each token sees the sequence up to itself.
 */
export function tracePrefill(
  config: ModelConfig,
  shape: PieceShape,
  layout: ParameterLayout = layoutParameters(config),
): Graph {
  const { slots, tokens: P } = shape;
  return trace(
    (inputs) => {
      const { tokens, slot, start, count } = inputs;
      const params = parametersOf(layout, inputs);
      const cache = new Cache(config, shape, inputs);
      const place = iota([1, P], 1);
      const position = place.add(start);
      const isReal = place.lt(count).reshape([1, 1, P]);
      const at = cache.rows(slot, position.reshape([1, 1, P]), isReal);
      hidden(config, params, tokens, {
        positions: position,
        attend: (layer, q, k, v) => {
          const keys = cache.write(`keys_${layer}`, at, k);
          const values = cache.write(`values_${layer}`, at, v);
          return cachedAttention(q, { keys, values, slot: slot.reshape([1]), last: position });
        },
      });
      return cache.outputs;
    },
    {
      ...arenas(layout, "params", shape.dtype),
      ...cacheInputs(config, { slots }),
      tokens: { shape: [1, P], dtype: "i32", role: "batch" },
      slot: scalar("i32"),
      start: scalar("i32"),
      count: scalar("i32"),
    },
    { donates: donatesThemselves(cacheNames(config)) },
  );
}

/**
 * One step of some sequences: takes each one's newest token from the state `token`, writes its keys and values at
 * `position` of `slot` (batch inputs, i32 [S]; a negative position takes no part), and leaves logits in the state
 * {@link logitsName}.
 */
export function traceDecode(
  config: ModelConfig,
  shape: StepShape,
  layout: ParameterLayout = layoutParameters(config),
): Graph {
  const { slots, sequences: S } = shape;
  const out = logitsName(S);
  return trace(
    (inputs) => {
      const { token, slot, position } = inputs;
      const params = parametersOf(layout, inputs);
      const cache = new Cache(config, shape, inputs);
      const newest = position.reshape([S, 1, 1]);
      const at = scope("cache", () => cache.rows(slot.reshape([S, 1, 1]), newest, newest.ge(0)));
      const last = position.reshape([S, 1]);
      const x = hidden(config, params, token.gather(slot).reshape([S, 1]), {
        positions: last,
        attend: (layer, q, k, v) => {
          const keys = cache.write(`keys_${layer}`, at, k);
          const values = cache.write(`values_${layer}`, at, v);
          return cachedAttention(q, { keys, values, slot, last });
        },
      });
      return { ...cache.outputs, [out]: logits(params, x) };
    },
    {
      ...arenas(layout, "params", shape.dtype),
      ...cacheInputs(config, { slots }),
      token: { shape: [slots], dtype: "i32", role: "state" },
      [out]: { shape: [S, paddedVocabulary(config)], dtype: "f32", role: "state" },
      slot: { shape: [S], dtype: "i32", role: "batch" },
      position: { shape: [S], dtype: "i32", role: "batch" },
    } as Record<string, InputSpec>,
    { donates: donatesThemselves([...cacheNames(config), out]) },
  );
}

function parametersOf(layout: ParameterLayout, inputs: Readonly<Record<string, Tensor>>): Parameters {
  return unpackServing(layout, arenaInputs(layout, "params", inputs));
}
