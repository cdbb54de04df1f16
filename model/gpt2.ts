/**
 * GPT-2 as tensor code (Radford et al. 2019): embeddings, pre-layerNorm blocks, a head tied to the token embedding.
 * Nothing here runs; tracing these functions gives the graph that the compiler differentiates and fuses.
 *
 * Shape letters: B sequences, T tokens each, C channels, H heads of D = C / H channels, V rows of the vocabulary.
 *
 * @module
 */
import { attention, scope, sizeOf, type Tensor } from "../compiler/mod.ts";
import { headWidth, LAYER_NORM_EPSILON, type ModelConfig } from "./config.ts";

/**
 * Parameters by Hugging Face's names, in f32. In mixed precision the weights of linear layers are given in the dtype
 * that products read and write, and so is {@link HEAD_WEIGHT}.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

/** The token embedding as the head multiplies by it; absent where that is the one that the tokens are looked up in. */
export const HEAD_WEIGHT = "lm_head.weight";

/** Mean cross-entropy in nats, a scalar, of predicting `targets` [B, T] from `tokens` [B, T]. */
export function loss(config: ModelConfig, params: Parameters, tokens: Tensor, targets: Tensor): Tensor {
  const [B, T] = tokens.shape;
  const x = hidden(config, params, tokens); // [B, T, C]
  return scope("head", () => {
    const weight = headWeight(params);
    return x.reshape([B * T, config.width]).cast(weight.dtype)
      .linearCrossEntropy(weight, targets.reshape([B * T]), { classes: config.vocabulary });
  });
}

/** Scores [V] of every token as the one after `position` (an i32 scalar) in the sequence `tokens` [1, T]. */
export function logitsAt(config: ModelConfig, params: Parameters, tokens: Tensor, position: Tensor): Tensor {
  const [, T] = tokens.shape;
  const { vocabulary: V, width: C } = config;
  const x = hidden(config, params, tokens).reshape([T, C]);
  return scope("head", () => {
    const last = x.gather(position).reshape([1, C]);
    const weight = headWeight(params).slice([0, 0], [V, C]); // without the padded rows
    return last.cast(weight.dtype).matmul(weight, { transB: true }).cast("f32").reshape([V]);
  });
}

function headWeight(params: Parameters): Tensor {
  return params[HEAD_WEIGHT] ?? params["wte.weight"];
}

/** Scores [N, padded vocabulary] of the tokens that may follow, from `x` [..., C] of N rows as {@link hidden} gives it. */
export function logits(params: Parameters, x: Tensor): Tensor {
  const C = x.shape[x.shape.length - 1];
  return scope("head", () => {
    const weight = headWeight(params);
    return x.reshape([sizeOf(x.shape) / C, C]).cast(weight.dtype).matmul(weight, { transB: true }).cast(
      "f32",
    );
  });
}

/** What differs where the tokens are not whole sequences that are seen for the first time. */
export interface Surroundings {
  /** i32 positions of the tokens, of the tokens' shape; counted from 0 in each sequence unless given. */
  readonly positions?: Tensor;
  /** Attention [B, H, T, D] of one layer's queries, keys and values [B, H, T, D]; among the tokens unless given. */
  readonly attend?: (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;
}

/** The residual stream [B, T, C] after the last layerNorm, from `tokens` [B, T]: what the head reads. */
export function hidden(
  config: ModelConfig,
  params: Parameters,
  tokens: Tensor,
  { positions, attend = attendCausally }: Surroundings = {},
): Tensor {
  const [, T] = tokens.shape;
  let x = scope("embed", () => {
    const words = params["wte.weight"].gather(tokens); // [B, T, C]
    const table = params["wpe.weight"];
    return words.add(positions ? table.gather(positions) : table.slice([0, 0], [T, config.width]));
  });
  for (let layer = 0; layer < config.layers; layer++) {
    x = block(config, params, `h.${layer}`, x, (q, k, v) => attend(layer, q, k, v));
  }
  return layerNorm(params, "ln_f", x);
}

function attendCausally(_: number, q: Tensor, k: Tensor, v: Tensor): Tensor {
  return attention(q, k, v, { causal: true });
}

type Attend = (q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** One transformer block: both halves read a normalised copy of the residual stream (f32) and add to it. */
function block(config: ModelConfig, params: Parameters, name: string, x: Tensor, attend: Attend): Tensor {
  const normalised = layerNorm(params, `${name}.ln_1`, x);
  x = x.add(selfAttention(config, params, `${name}.attn`, normalised, attend).cast("f32"));
  return x.add(mlp(params, `${name}.mlp`, layerNorm(params, `${name}.ln_2`, x)).cast("f32"));
}

/** Each token looks at itself and the tokens before it, once for each head. */
function selfAttention(
  config: ModelConfig,
  params: Parameters,
  name: string,
  x: Tensor,
  attend: Attend,
): Tensor {
  const [B, T, C] = x.shape;
  const [H, D] = [config.heads, headWidth(config)];
  const qkv = linear(params, `${name}.c_attn`, x); // [B, T, 3C]
  const mixed = scope(name, () => {
    const part = (index: number) =>
      qkv.slice([0, 0, index * C], [B, T, (index + 1) * C]).reshape([B, T, H, D]).transpose([0, 2, 1, 3]);
    const heads = attend(part(0), part(1), part(2)); // [B, H, T, D]
    return heads.transpose([0, 2, 1, 3]).reshape([B, T, C]);
  });
  return linear(params, `${name}.c_proj`, mixed);
}

/** Two linear layers, four times as wide in between. */
function mlp(params: Parameters, name: string, x: Tensor): Tensor {
  const wide = linear(params, `${name}.c_fc`, x); // [B, T, 4C]
  return linear(params, `${name}.c_proj`, scope(name, () => wide.gelu()));
}

/** x [B, T, in] times the weight [in, out] plus the bias [out], in the weight's dtype; the bias is added in f32. */
function linear(params: Parameters, name: string, x: Tensor): Tensor {
  const [B, T, C] = x.shape;
  const [weight, bias] = [params[`${name}.weight`], params[`${name}.bias`]];
  return scope(name, () => {
    // One product of B * T rows, not B products: the weight is shared.
    const product = x.reshape([B * T, C]).cast(weight.dtype).matmul(weight);
    return product.cast("f32").add(bias).cast(weight.dtype).reshape([B, T, bias.shape[0]]);
  });
}

function layerNorm(params: Parameters, name: string, x: Tensor): Tensor {
  return scope(
    name,
    () => x.layerNorm(params[`${name}.weight`], params[`${name}.bias`], LAYER_NORM_EPSILON),
  );
}
