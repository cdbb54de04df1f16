/**
 * Random networks with their gradients: deep enough that values of the forward pass wait long for the backward pass, so
 * that a budget of memory finds something to recompute.
 *
 * @module
 */
import {
  attention,
  grad,
  type Graph,
  type InputSpec,
  phase,
  scope,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";
import { Prng } from "./prng.ts";

/** A layer of a network over rows x [N, C] with a square weight w [C, C]. */
type Layer = (x: Tensor, w: Tensor, heads: number) => Tensor;

const LAYERS: readonly Layer[] = [
  (x, w) => x.matmul(w).gelu(),
  (x, w) => x.add(x.matmul(w).tanh()),
  (x, w) => {
    const [C] = w.shape;
    return x.layerNorm(w.slice([0, 0], [1, C]).reshape([C]), w.slice([1, 0], [2, C]).reshape([C]), 1e-5);
  },
  (x, w) => x.matmul(w).softmax().mul(x),
  (x, w) => x.add(x.matmul(w, { transB: true }).gelu().matmul(w)).mul(0.5),
  (x, w) => where(x.matmul(w)),
  (x, w, heads) => {
    const [N, C] = x.shape;
    const q = x.reshape([1, N, heads, C / heads]).transpose([0, 2, 1, 3]);
    const k = x.matmul(w).reshape([1, N, heads, C / heads]).transpose([0, 2, 1, 3]);
    return attention(q, k, q, { causal: true }).transpose([0, 2, 1, 3]).reshape([N, C]).add(x);
  },
];

/** exp where it is small, a parabola elsewhere: two branches of one value. */
function where(x: Tensor): Tensor {
  return x.minimum(1).exp().add(x.mul(x).mul(0.1)).mul(0.3);
}

/** A network of 3 to 8 layers, its loss, and updated weights, each in place of the old one. */
export function randomNetwork(seed: number): Graph {
  const prng = new Prng(seed);
  const rows = prng.integer(20, 70);
  const heads = prng.integer(1, 3);
  const width = heads * prng.integer(3, 8);
  const depth = prng.integer(3, 8);
  const names = Array.from({ length: depth }, (_, i) => `w${i}`);
  const specs: Record<string, InputSpec> = { x: { shape: [rows, width], dtype: "f32", role: "batch" } };
  for (const name of names) specs[name] = { shape: [width, width], dtype: "f32", role: "state" };
  return trace(
    (inputs) => {
      let { x } = inputs;
      names.forEach((name, i) => {
        x = scope(`layer.${i}`, () => prng.pick(LAYERS)(x, inputs[name].mul(0.3), heads));
      });
      const loss = x.mul(x).mean();
      const weights = names.map((name) => inputs[name]);
      const gradients = grad(loss, weights);
      const next = phase("optimizer", () => weights.map((weight, i) => weight.sub(gradients[i])));
      return { loss, ...Object.fromEntries(names.map((name, i) => [name, next[i]])) };
    },
    specs,
    { donates: Object.fromEntries(names.map((name) => [name, name])) },
  );
}
