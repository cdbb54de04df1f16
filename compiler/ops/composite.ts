/**
 * Composites: what a user names and the fuser is meant to find. Each is defined by its decomposition alone; gradients are
 * written with the same sub-expressions, so that common-subexpression elimination lets the backward pass reuse the
 * forward's statistics.
 *
 * @module
 */
import { type DType, isFloat } from "../dtype.ts";
import type { Attrs, TensorType } from "../graph.ts";
import type { Tensor } from "../tensor.ts";
import {
  decomposeLinearCrossEntropy,
  decomposeLinearCrossEntropyGradW,
  decomposeLinearCrossEntropyGradX,
} from "./linear_cross_entropy.ts";
import { maskColumns, targetHits } from "./masking.ts";
import type { OpSpec } from "./types.ts";

const GELU_SLOPE = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

function requireFloat({ dtype }: TensorType): void {
  if (!isFloat(dtype)) throw new Error(`expected float values but got ${dtype}`);
}

function requireRank({ shape }: TensorType, rank: number, what: string): void {
  if (shape.length !== rank) throw new Error(`${what} of shape [${shape}] must have ${rank} axes`);
}

function requireDType({ dtype }: TensorType, expected: DType, what: string): void {
  if (dtype !== expected) throw new Error(`${what} must be ${expected} but is ${dtype}`);
}

function requireTargets(rows: number, targets: TensorType): void {
  if (targets.dtype !== "i32" || targets.shape.length !== 1 || targets.shape[0] !== rows) {
    throw new Error(`targets must be i32[${rows}] but are ${targets.dtype}[${targets.shape}]`);
  }
}

function requireClasses(classes: unknown, columns: number): void {
  if (!Number.isInteger(classes) || (classes as number) < 1 || (classes as number) > columns) {
    throw new Error(`classes must be 1 to ${columns}, not ${classes}`);
  }
}

/** Type of an op along the rows of a float tensor. */
function inferRows(x: TensorType): TensorType {
  requireFloat(x);
  if (x.shape.length === 0) throw new Error("a scalar has no rows");
  return { shape: x.shape, dtype: x.dtype };
}

function last(x: Tensor): number[] {
  return [x.shape.length - 1];
}

/** exp(x - max) and its row sum, the parts of a softmax that cannot overflow. */
function softmaxParts(x: Tensor): { shifted: Tensor; exps: Tensor; total: Tensor } {
  const shifted = x.sub(x.max(last(x), { keepDims: true }));
  const exps = shifted.exp();
  return { shifted, exps, total: exps.sum(last(x), { keepDims: true }) };
}

function softmax(x: Tensor): Tensor {
  const { exps, total } = softmaxParts(x);
  return exps.mul(total.reciprocal());
}

function logSoftmax(x: Tensor): Tensor {
  const { shifted, total } = softmaxParts(x);
  return shifted.sub(total.log());
}

/** (x - mean) and 1 / sqrt(variance + eps) over the last axis. */
function normalized(x: Tensor, eps: number): { hat: Tensor; rstd: Tensor } {
  const centred = x.sub(x.mean(last(x), { keepDims: true }));
  const rstd = centred.mul(centred).mean(last(x), { keepDims: true }).add(eps).rsqrt();
  return { hat: centred.mul(rstd), rstd };
}

function leadingAxes(x: Tensor): number[] {
  return x.shape.slice(0, -1).map((_, axis) => axis);
}

/** tanh(sqrt(2/pi) (x + 0.044715 x³)). */
function geluTanh(x: Tensor): Tensor {
  return x.mul(x).mul(GELU_CUBIC).add(1).mul(x).mul(GELU_SLOPE).tanh();
}

function inferLinearCrossEntropy([x, w, targets]: readonly TensorType[], { classes }: Attrs): TensorType {
  requireFloat(x);
  requireRank(x, 2, "x");
  requireRank(w, 2, "w");
  requireDType(w, x.dtype, "w");
  if (x.shape[1] !== w.shape[1]) throw new Error(`x [${x.shape}] does not fit w [${w.shape}]`);
  requireTargets(x.shape[0], targets);
  requireClasses(classes, w.shape[0]);
  return { shape: [], dtype: "f32" };
}

/** The checks of a gradient of linearCrossEntropy, which also takes the derivative by the loss. */
function requireLossGradient(inputs: readonly TensorType[], attrs: Attrs): void {
  inferLinearCrossEntropy(inputs, attrs);
  const g = inputs[3];
  if (g.shape.length > 0) throw new Error(`the derivative by the loss must be a scalar but is [${g.shape}]`);
  requireDType(g, "f32", "the derivative by the loss");
}

/** The composite rows of the op table. */
export const COMPOSITE: Record<string, OpSpec> = {
  softmax: {
    class: "composite",
    infer: ([x]) => inferRows(x),
    decompose: ([x]) => softmax(x),
    vjp: (g, y) => [y.mul(g.sub(g.mul(y).sum(last(y), { keepDims: true })))],
  },
  logSoftmax: {
    class: "composite",
    infer: ([x]) => inferRows(x),
    decompose: ([x]) => logSoftmax(x),
    vjp: (g, y) => [g.sub(y.exp().mul(g.sum(last(y), { keepDims: true })))],
  },
  layerNorm: {
    class: "composite",
    infer: ([x, gamma, beta]) => {
      const type = inferRows(x);
      const width = x.shape[x.shape.length - 1];
      for (const [name, { shape, dtype }] of [["gamma", gamma], ["beta", beta]] as const) {
        if (shape.length !== 1 || shape[0] !== width || dtype !== x.dtype) {
          throw new Error(`${name} must be ${x.dtype}[${width}] but is ${dtype}[${shape}]`);
        }
      }
      return type;
    },
    decompose: ([x, gamma, beta], { eps }) => normalized(x, eps as number).hat.mul(gamma).add(beta),
    // dx = rstd (dh - mean(dh) - hat mean(dh hat)) with dh = g gamma.
    vjp: (g, _, [x, gamma], { eps }) => {
      const { hat, rstd } = normalized(x, eps as number);
      const dh = g.mul(gamma);
      const mean = dh.mean(last(x), { keepDims: true });
      const along = dh.mul(hat).mean(last(x), { keepDims: true });
      return [
        dh.sub(mean).sub(hat.mul(along)).mul(rstd),
        g.mul(hat).sum(leadingAxes(x)),
        g.sum(leadingAxes(x)),
      ];
    },
  },
  gelu: {
    class: "composite",
    infer: ([x]) => {
      requireFloat(x);
      return { shape: x.shape, dtype: x.dtype };
    },
    decompose: ([x]) => x.mul(0.5).mul(geluTanh(x).add(1)),
    vjp: (g, _, [x]) => {
      const t = geluTanh(x);
      const slope = x.mul(x).mul(3 * GELU_CUBIC).add(1).mul(GELU_SLOPE);
      const inner = t.mul(t).neg().add(1).mul(slope).mul(x).mul(0.5);
      return [g.mul(t.add(1).mul(0.5).add(inner))];
    },
  },
  crossEntropy: {
    class: "composite",
    infer: ([logits, targets], { classes }) => {
      requireFloat(logits);
      requireRank(logits, 2, "logits");
      requireTargets(logits.shape[0], targets);
      requireClasses(classes, logits.shape[1]);
      return { shape: [], dtype: logits.dtype };
    },
    decompose: ([logits, targets], { classes }) => {
      const logs = maskColumns(logits, classes as number).logSoftmax();
      const picked = logs.where(targetHits(targets, logits.shape[1]), 0).sum([1]);
      return picked.mean().neg();
    },
    vjp: (g, _, [logits, targets], { classes }) => {
      const probabilities = maskColumns(logits, classes as number).logSoftmax().exp();
      const hit = targetHits(targets, logits.shape[1]).cast(logits.dtype);
      return [probabilities.sub(hit).mul(1 / logits.shape[0]).mul(g), undefined];
    },
  },
  linearCrossEntropy: {
    class: "composite",
    infer: inferLinearCrossEntropy,
    decompose: decomposeLinearCrossEntropy,
    vjp: (g, _, [x, w, targets], attrs) => [
      x.composite("linearCrossEntropyGradX", [w, targets, g], attrs),
      x.composite("linearCrossEntropyGradW", [w, targets, g], attrs),
      undefined,
    ],
  },
  linearCrossEntropyGradX: {
    class: "composite",
    infer: (inputs, attrs) => {
      requireLossGradient(inputs, attrs);
      return { shape: inputs[0].shape, dtype: inputs[0].dtype };
    },
    decompose: decomposeLinearCrossEntropyGradX,
  },
  linearCrossEntropyGradW: {
    class: "composite",
    infer: (inputs, attrs) => {
      requireLossGradient(inputs, attrs);
      return { shape: inputs[1].shape, dtype: inputs[1].dtype };
    },
    decompose: decomposeLinearCrossEntropyGradW,
  },
};
