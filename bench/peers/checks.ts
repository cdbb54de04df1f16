/**
 * Right answers in float64, at a few places of each output, and what a training run's losses must look like: a library
 * that is fast because a dispatch was dropped has not done the work.
 *
 * @module
 */
import {
  type AttentionCase,
  EPSILON,
  type MatmulCase,
  type PeerCase,
  type RowsCase,
  type StepCase,
} from "./cases.ts";

/** Inputs and outputs of one kernel, in the order of the case. */
export interface KernelNumbers {
  readonly inputs: readonly Float32Array[];
  readonly outputs: readonly Float32Array[];
}

const SAMPLES = 97;

/** What is wrong with a kernel's answer, or undefined. */
export function wrongAnswer(one: PeerCase, numbers: KernelNumbers): string | undefined {
  switch (one.kind) {
    case "matmul":
      return compare(numbers, 0, (i) => matmulAt(one, numbers.inputs, i), Math.sqrt(one.depth) * 1e-5);
    case "layernorm":
      return compare(numbers, 0, (i) => layerNormAt(one, numbers.inputs, i), 1e-4);
    case "softmax":
      return compare(numbers, 0, (i) => softmaxAt(one, numbers.inputs, i), 1e-6);
    case "attention":
      return compare(numbers, 0, (i) => attentionAt(one, numbers.inputs, i), 1e-4);
    case "layernorm-grad": {
      const answers = layerNormGradients(one, numbers.inputs);
      const tolerances = [1e-3, 2e-2, 1e-2];
      return tolerances.map((tolerance, k) => compare(numbers, k, (i) => answers[k][i], tolerance)).find(
        Boolean,
      );
    }
    case "step":
      return undefined;
  }
}

/**
 * What is wrong with a training run's losses, or undefined: the first must be near ln(vocabulary), as the weights say
 * nothing yet; they must fall; and where the case knows them, they must be those.
 */
export function wrongLosses(one: StepCase, losses: readonly number[]): string | undefined {
  const expected = Math.log(one.vocabulary);
  if (!losses.every(Number.isFinite)) return `losses are not numbers: ${show(losses)}`;
  if (Math.abs(losses[0] - expected) > 0.3) {
    return `first loss ${losses[0].toFixed(4)} is not near ln(${one.vocabulary}) = ${expected.toFixed(4)}`;
  }
  for (let i = 0; i < Math.min(losses.length, one.losses?.length ?? 0); i++) {
    if (Math.abs(losses[i] - one.losses![i]) > 5e-3 * one.losses![i]) {
      return `losses ${show(losses)} are not those of the other libraries, ${show(one.losses!)}`;
    }
  }
  if (!(losses[losses.length - 1] < losses[0])) return `losses do not fall: ${show(losses)}`;
  return undefined;
}

/**
 * What is wrong with the norm of a first step's gradients, or undefined. AdamW hardly cares how large gradients are, so
 * that losses do not tell when a sum over a large tensor stops early.
 */
export function wrongNorm(one: StepCase, norm: number): string | undefined {
  if (one.norm === undefined || Math.abs(norm - one.norm) <= 1e-2 * one.norm) return undefined;
  return `the gradients' norm is ${norm.toFixed(4)}, not ${one.norm} as with the other libraries`;
}

function show(losses: readonly number[]): string {
  return losses.map((loss) => loss.toFixed(4)).join(", ");
}

function compare(
  { outputs }: KernelNumbers,
  which: number,
  answer: (index: number) => number,
  tolerance: number,
): string | undefined {
  const output = outputs[which];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const i = Math.floor((output.length - 1) * sample / (SAMPLES - 1));
    const right = answer(i);
    // Written so that NaN counts as wrong.
    if (!(Math.abs(output[i] - right) <= tolerance)) {
      return `wrong answer: element ${i} of output ${which} is ${output[i]}, not ${right}`;
    }
  }
  return undefined;
}

function matmulAt(
  { form, rows, depth, cols }: MatmulCase,
  [a, b]: readonly Float32Array[],
  at: number,
): number {
  const [row, col] = [Math.floor(at / cols), at % cols];
  let sum = 0;
  for (let k = 0; k < depth; k++) {
    sum += (form === "TN" ? a[k * rows + row] : a[row * depth + k]) *
      (form === "NT" ? b[col * depth + k] : b[k * cols + col]);
  }
  return sum;
}

function moments(x: Float32Array, start: number, cols: number): { mean: number; scale: number } {
  let sum = 0, squares = 0;
  for (let i = start; i < start + cols; i++) sum += x[i];
  const mean = sum / cols;
  for (let i = start; i < start + cols; i++) squares += (x[i] - mean) ** 2;
  return { mean, scale: 1 / Math.sqrt(squares / cols + EPSILON) };
}

function layerNormAt({ cols }: RowsCase, [x, gamma, beta]: readonly Float32Array[], at: number): number {
  const { mean, scale } = moments(x, at - at % cols, cols);
  return (x[at] - mean) * scale * gamma[at % cols] + beta[at % cols];
}

/** Gradients of sum(layerNorm(x)·dy) in x, gamma and beta. */
function layerNormGradients({ rows, cols }: RowsCase, inputs: readonly Float32Array[]): Float64Array[] {
  const [x, gamma, , dy] = inputs;
  const [dx, dGamma, dBeta] = [rows * cols, cols, cols].map((length) => new Float64Array(length));
  for (let row = 0; row < rows; row++) {
    const start = row * cols;
    const { mean, scale } = moments(x, start, cols);
    let first = 0, second = 0;
    for (let col = 0; col < cols; col++) {
      const normal = (x[start + col] - mean) * scale;
      const flow = dy[start + col] * gamma[col];
      first += flow / cols;
      second += flow * normal / cols;
      dGamma[col] += dy[start + col] * normal;
      dBeta[col] += dy[start + col];
    }
    for (let col = 0; col < cols; col++) {
      const normal = (x[start + col] - mean) * scale;
      dx[start + col] = scale * (dy[start + col] * gamma[col] - first - normal * second);
    }
  }
  return [dx, dGamma, dBeta];
}

function softmaxAt({ cols }: RowsCase, [x]: readonly Float32Array[], at: number): number {
  let sum = 0;
  const start = at - at % cols;
  for (let i = start; i < start + cols; i++) sum += Math.exp(x[i]);
  return Math.exp(x[at]) / sum;
}

/** Operands are [batch, context, heads, headWidth]. */
function attentionAt(
  { heads, context, headWidth }: AttentionCase,
  [q, k, v]: readonly Float32Array[],
  at: number,
): number {
  const channel = at % headWidth;
  const head = Math.floor(at / headWidth) % heads;
  const query = Math.floor(at / (headWidth * heads)) % context;
  const batch = Math.floor(at / (headWidth * heads * context));
  const start = (position: number) => ((batch * context + position) * heads + head) * headWidth;
  let total = 0, sum = 0;
  for (let key = 0; key <= query; key++) {
    let score = 0;
    for (let c = 0; c < headWidth; c++) score += q[start(query) + c] * k[start(key) + c];
    const weight = Math.exp(score / Math.sqrt(headWidth));
    total += weight;
    sum += weight * v[start(key) + channel];
  }
  return sum / total;
}
