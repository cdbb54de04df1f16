/**
 * Attention and its gradients. Each op has a template of its own (`wgsl/attention.ts`), which never holds the T x T
 * scores in memory; where the template is not wanted, each is its decomposition into products and softmax parts, whose
 * common sub-expressions are shared.
 *
 * The forward pass leaves `o` and, per query, `lse`, the logarithm of the sum of exp(score). From those two the backward
 * pass recomputes probabilities tile by tile: `p = exp(score - lse)`, `ds = p (dp - delta)` with `dp = g v^T` and
 * `delta = rowsum(g o)` (Dao et al. 2022, arXiv:2205.14135; 2023, arXiv:2307.08691).
 *
 * @module
 */
import { type DType, isFloat } from "../dtype.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { iota, type Tensor } from "../tensor.ts";
import { MASKED } from "./masking.ts";
import type { OpSpec } from "./types.ts";

/** Operands of the ops in the order in which they are given: queries, keys, values; the gradients' further ones. */
export const ATTENTION_OPERANDS = ["q", "k", "v", "g", "lse", "delta"] as const;

/** The kernel that computes each op, and the name of its result there. Ops of one kernel share its operands. */
export const ATTENTION_KERNELS: Readonly<
  Record<string, { readonly kind: "forward" | "gradQ" | "gradKV"; readonly result: string }>
> = {
  attention: { kind: "forward", result: "o" },
  attentionLse: { kind: "forward", result: "lse" },
  attentionGradQ: { kind: "gradQ", result: "dq" },
  attentionGradK: { kind: "gradKV", result: "dk" },
  attentionGradV: { kind: "gradKV", result: "dv" },
};

/** Ops that have an attention kernel. */
export const ATTENTION_OPS: ReadonlySet<string> = new Set(Object.keys(ATTENTION_KERNELS));

function requireHeads([q, k, v]: readonly TensorType[]): void {
  for (const [name, { shape, dtype }] of [["q", q], ["k", k], ["v", v]] as const) {
    if (!isFloat(dtype)) throw new Error(`expected float values but got ${dtype}`);
    if (shape.length !== 4) throw new Error(`${name} of shape [${shape}] must have 4 axes`);
    if (dtype !== q.dtype) throw new Error(`${name} must be ${q.dtype} but is ${dtype}`);
  }
  const apart = q.shape.some((size, axis) => axis !== 2 && size !== k.shape[axis]);
  if (k.shape.join() !== v.shape.join() || apart) {
    throw new Error(`q [${q.shape}], k [${k.shape}] and v [${v.shape}] do not fit: expected [B, H, T, D]`);
  }
}

function requireGradientInputs(inputs: readonly TensorType[]): void {
  requireHeads(inputs);
  const [q, , , g, lse, delta] = inputs;
  const expect = (name: string, type: TensorType, shape: readonly number[], dtype: DType) => {
    if (type.shape.join() === shape.join() && type.dtype === dtype) return;
    throw new Error(`${name} must be ${dtype}[${shape}] but is ${type.dtype}[${type.shape}]`);
  };
  expect("g", g, q.shape, q.dtype);
  expect("lse", lse, q.shape.slice(0, 3), "f32");
  expect("delta", delta, q.shape.slice(0, 3), "f32");
}

/** Scaled products of queries and keys in f32 [B, H, T, S]; what a causal query must not see is {@link MASKED}. */
function scoresOf(q: Tensor, k: Tensor, { causal, scale }: Attrs): Tensor {
  const scores = q.matmul(k, { transB: true }).cast("f32").mul(scale as number);
  if (!causal) return scores;
  const [rows, cols] = scores.shape.slice(-2);
  const seen = iota([rows, cols], 1).le(iota([rows, cols], 0)).broadcastTo(scores.shape);
  return scores.where(seen, MASKED);
}

/** A number per query as a column beside the scores. */
function column(rows: Tensor): Tensor {
  return rows.reshape([...rows.shape, 1]);
}

/** Weights of the keys, from what the forward pass left. Masked entries are 0, so nothing flows back through them. */
function probabilities(q: Tensor, k: Tensor, lse: Tensor, attrs: Attrs): Tensor {
  return scoresOf(q, k, attrs).sub(column(lse)).exp();
}

/** Derivative by the unscaled scores. */
function gradScores([q, k, v, g, lse, delta]: readonly Tensor[], attrs: Attrs): Tensor {
  const dp = g.matmul(v, { transB: true }).cast("f32");
  return probabilities(q, k, lse, attrs).mul(dp.sub(column(delta))).mul(attrs.scale as number).cast(q.dtype);
}

/** The attention rows of the op table. */
export const ATTENTION: Record<string, OpSpec> = {
  attention: {
    class: "attention",
    infer: (inputs) => {
      requireHeads(inputs);
      return { shape: inputs[0].shape, dtype: inputs[0].dtype };
    },
    decompose: ([q, k, v], attrs) => scoresOf(q, k, attrs).softmax().cast(q.dtype).matmul(v),
    vjp: (g, o, [q, k, v], attrs) => {
      const lse = q.composite("attentionLse", [k, v], attrs);
      const delta = g.cast("f32").mul(o.cast("f32")).sum([3]);
      const rest = [k, v, g, lse, delta];
      return [
        q.composite("attentionGradQ", rest, attrs),
        q.composite("attentionGradK", rest, attrs),
        q.composite("attentionGradV", rest, attrs),
      ];
    },
  },
  // Takes the values as well, though it does not need them: with equal operands it is a by-product of `attention`.
  attentionLse: {
    class: "attention",
    infer: (inputs) => {
      requireHeads(inputs);
      return { shape: inputs[0].shape.slice(0, 3), dtype: "f32" };
    },
    decompose: ([q, k], attrs) => {
      const scores = scoresOf(q, k, attrs);
      const highest = scores.max([3], { keepDims: true });
      const total = scores.sub(highest).exp().sum([3], { keepDims: true });
      return total.log().add(highest).reshape(q.shape.slice(0, 3));
    },
  },
  attentionGradQ: {
    class: "attention",
    infer: (inputs) => {
      requireGradientInputs(inputs);
      return { shape: inputs[0].shape, dtype: inputs[0].dtype };
    },
    decompose: (inputs, attrs) => gradScores(inputs, attrs).matmul(inputs[1]),
  },
  attentionGradK: {
    class: "attention",
    infer: (inputs) => {
      requireGradientInputs(inputs);
      return { shape: inputs[1].shape, dtype: inputs[1].dtype };
    },
    decompose: (inputs, attrs) => gradScores(inputs, attrs).matmul(inputs[0], { transA: true }),
  },
  attentionGradV: {
    class: "attention",
    infer: (inputs) => {
      requireGradientInputs(inputs);
      return { shape: inputs[2].shape, dtype: inputs[2].dtype };
    },
    decompose: ([q, k, , g, lse], attrs) =>
      probabilities(q, k, lse, attrs).cast(g.dtype).matmul(g, { transA: true }),
  },
};
