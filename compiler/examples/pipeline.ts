/**
 * The function that compiler/README.md follows through the compiler: one step of training of a linear classifier.
 *
 * @module
 */
import { compileStages, grad, LAVAPIPE, type Tensor, trace } from "../mod.ts";

const step = ({ x, y, w, b, rate }: Record<string, Tensor>) => {
  const loss = x.matmul(w).add(b).crossEntropy(y);
  const [dw, db] = grad(loss, [w, b]);
  return { loss, w: w.sub(dw.mul(rate)), b: b.sub(db.mul(rate)) };
};

/** As it was traced, with the updates in place of the old values. */
export const graph = trace(step, {
  x: { shape: [64, 32], dtype: "f32", role: "batch" }, // 64 points
  y: { shape: [64], dtype: "i32", role: "batch" }, // of 16 classes
  w: { shape: [32, 16], dtype: "f32", role: "state" },
  b: { shape: [16], dtype: "f32", role: "state" },
  rate: { shape: [], dtype: "f32", role: "scalar" },
}, { donates: { w: "w", b: "b" } });

/** Every stage, for a software adapter. */
export const compilation = compileStages(graph, LAVAPIPE, { name: "step" });
