/**
 * The tied head and the loss in pieces: rows of x in chunks, rows of w in windows, so that no tensor outgrows a binding
 * and the whole [N, V] logits never exist. The loss and both gradients are built from the same pieces; since the loss is a
 * scalar, the gradients need nothing from later in the program but that scalar's own derivative, and each chunk can be
 * finished while its logits are there. Operands in f16 are multiplied as such; logits, their softmax and all sums are f32.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { bytesPerElement } from "../dtype.ts";
import type { Attrs } from "../graph.ts";
import { concat, type Tensor } from "../tensor.ts";
import { maskColumns, targetHits } from "./masking.ts";

/** Logits that are worth one chunk, 64 MiB of f32: more would only cost memory, fewer only launches. */
const CHUNK_LOGITS = 2 ** 24;
/** A large batch is cut into no more chunks than this: beside its activations, a quarter of its logits is little. */
const MOST_CHUNKS = 4;

/** Rows from `start` up to, not including, `end`. */
interface Window {
  readonly start: number;
  readonly end: number;
}

/** Cuts into windows of nearly equal size, at most `most` rows; multiples of `unit`, unless not even one fits. */
function cut(length: number, most: number, unit: number): Window[] {
  const step = most < unit ? 1 : unit;
  const largest = most - most % step;
  const even = Math.ceil(length / Math.ceil(length / largest));
  const size = Math.min(Math.ceil(even / step) * step, largest);
  const windows: Window[] = [];
  for (let start = 0; start < length; start += size) {
    windows.push({ start, end: Math.min(length, start + size) });
  }
  return windows;
}

/** Chunks of rows of x and windows of rows of w: each piece, and the logits of both, fit a binding. */
function windowsOf(x: Tensor, w: Tensor, target: Capabilities): { chunks: Window[]; windows: Window[] } {
  const [rows, width] = x.shape;
  const elements = Math.floor(target.maxBindingBytes / bytesPerElement("f32"));
  const windows = cut(w.shape[0], Math.max(1, Math.floor(elements / width)), 64);
  const widest = Math.max(width, windows[0].end - windows[0].start);
  const worthwhile = Math.max(CHUNK_LOGITS, Math.ceil(rows / MOST_CHUNKS) * widest);
  const chunks = cut(rows, Math.max(1, Math.floor(Math.min(worthwhile, elements) / widest)), 1);
  return { chunks, windows };
}

function rowsOf(x: Tensor, { start, end }: Window): Tensor {
  return x.slice([start, ...x.shape.slice(1).map(() => 0)], [end, ...x.shape.slice(1)]);
}

/** Logits in f32 of one chunk in one window, columns past the classes masked. */
function logitsOf(x: Tensor, w: Tensor, chunk: Window, window: Window, classes: number): Tensor {
  const logits = rowsOf(x, chunk).matmul(rowsOf(w, window), { transB: true }).cast("f32");
  return maskColumns(logits, classes - window.start);
}

/** Log of the sum of exp over all windows, [rows, 1]. */
function logSumExp(logits: readonly Tensor[]): Tensor {
  const highest = logits.map((part) => part.max([1], { keepDims: true })).reduce((a, b) => a.maximum(b));
  const total = logits.map((part) => part.sub(highest).exp().sum([1], { keepDims: true }))
    .reduce((a, b) => a.add(b));
  return total.log().add(highest);
}

function hits(targets: Tensor, chunk: Window, window: Window): Tensor {
  return targetHits(rowsOf(targets, chunk).sub(window.start), window.end - window.start);
}

/**
 * Derivative by the logits of one chunk, by window, of a result whose derivative by the mean loss is `g`. A scale in `g`
 * comes in before the rounding to f16: without it most of these derivatives, probabilities over N, would be 0.
 */
function gradLogits(
  [x, w, targets, g]: readonly Tensor[],
  chunk: Window,
  windows: readonly Window[],
  classes: number,
): Tensor[] {
  const logits = windows.map((window) => logitsOf(x, w, chunk, window, classes));
  const lse = logSumExp(logits);
  return windows.map((window, i) =>
    logits[i].sub(lse).exp().sub(hits(targets, chunk, window).cast("f32"))
      .mul(g.mul(1 / x.shape[0])).cast(x.dtype)
  );
}

/** Mean of lse - logit[target] over the rows. */
export function decomposeLinearCrossEntropy(
  inputs: readonly Tensor[],
  attrs: Attrs,
  target: Capabilities,
): Tensor {
  const [x, w, targets] = inputs;
  const { chunks, windows } = windowsOf(x, w, target);
  const sums = chunks.map((chunk) => {
    const logits = windows.map((window) => logitsOf(x, w, chunk, window, attrs.classes as number));
    const picked = windows.map((window, i) =>
      logits[i].where(hits(targets, chunk, window), 0).sum([1], { keepDims: true })
    ).reduce((a, b) => a.add(b));
    return logSumExp(logits).sub(picked).sum();
  });
  return sums.reduce((a, b) => a.add(b)).mul(1 / x.shape[0]);
}

/** Derivative by x, [N, C]. Inputs: x, w, targets, and the derivative by the loss. */
export function decomposeLinearCrossEntropyGradX(
  inputs: readonly Tensor[],
  attrs: Attrs,
  target: Capabilities,
): Tensor {
  const [x, w] = inputs;
  const { chunks, windows } = windowsOf(x, w, target);
  const parts = chunks.map((chunk) =>
    gradLogits(inputs, chunk, windows, attrs.classes as number)
      .map((part, i) => part.matmul(rowsOf(w, windows[i])).cast("f32"))
      .reduce((a, b) => a.add(b)).cast(x.dtype)
  );
  return parts.length === 1 ? parts[0] : concat(parts, 0);
}

/** Derivative by w, [V, C]. Inputs: x, w, targets, and the derivative by the loss. */
export function decomposeLinearCrossEntropyGradW(
  inputs: readonly Tensor[],
  attrs: Attrs,
  target: Capabilities,
): Tensor {
  const [x, w] = inputs;
  const { chunks, windows } = windowsOf(x, w, target);
  const totals: Tensor[] = [];
  for (const chunk of chunks) {
    gradLogits(inputs, chunk, windows, attrs.classes as number).forEach((part, i) => {
      const product = part.matmul(rowsOf(x, chunk), { transA: true }).cast("f32");
      totals[i] = totals[i] ? totals[i].add(product) : product;
    });
  }
  const rounded = totals.map((total) => total.cast(w.dtype));
  return rounded.length === 1 ? rounded[0] : concat(rounded, 0);
}
