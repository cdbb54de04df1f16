/**
 * Trains a small network to tell two spirals apart, and draws what it learned.
 * @module
 */
import { compile, type Device, grad, type StateSpecs, type Tensor } from "../mod.ts";
import { ensureAdapter, openDevice } from "../../runtime/mod.ts";

const SIZES = { w1: [2, 32], b1: [32], w2: [32, 32], b2: [32], w3: [32, 2] };
const NAMES = Object.keys(SIZES);

/** The network: a score for each spiral, [points, 2]. */
const score = ({ point, w1, b1, w2, b2, w3 }: Record<string, Tensor>) =>
  point.matmul(w1).add(b1).tanh().matmul(w2).add(b2).tanh().matmul(w3);

/** One step of Adam (Kingma and Ba 2014): the loss, and the new value of every state. */
function learn(inputs: Record<string, Tensor>) {
  const next: Record<string, Tensor> = { loss: score(inputs).crossEntropy(inputs.label) };
  grad(next.loss, NAMES.map((name) => inputs[name])).forEach((gradient, i) => {
    const name = NAMES[i];
    const m = next[`${name}.m`] = inputs[`${name}.m`].mul(0.9).add(gradient.mul(0.1));
    const v = next[`${name}.v`] = inputs[`${name}.v`].mul(0.99).add(gradient.pow(2).mul(0.01));
    next[name] = inputs[name].sub(m.div(v.sqrt().add(1e-8)).mul(inputs.rate));
  });
  return next;
}

/** Trains; gives the loss, the share of points that are told apart, and a map of the plane. */
export async function train(device: Device, steps = 400, seed = 1) {
  const random = () => (seed = seed * 16807 % 2147483647) / 2147483647 - 0.5; // Park and Miller's generator
  const state: Record<string, StateSpecs[string]> = {};
  for (const [name, shape] of Object.entries(SIZES)) {
    const length = shape.reduce((a, b) => a * b);
    state[name] = { shape, data: Float32Array.from({ length }, () => 1.5 * random()) };
    state[`${name}.m`] = state[`${name}.v`] = { shape, dtype: "f32" }; // on the device, zero at first
  }
  const step = compile(learn, { device, state });
  const predict = compile((inputs) => ({ spiral: score(inputs).argmax(1) }), { device, state: step });

  const label = { shape: [256], data: Int32Array.from({ length: 256 }, (_, i) => i % 2) };
  const turns = Array.from(label.data, (side, i) => [3 * Math.sqrt(i / 256), i / 26 + side * Math.PI]);
  const points = turns.flatMap(([radius, angle]) => [radius * Math.cos(angle), radius * Math.sin(angle)]);
  const point = { shape: [256, 2], data: Float32Array.from(points) };
  for (let i = 0; i < steps; i++) await step.run({ point, label, rate: 0.02 * (1 - i / steps) });
  const { loss } = await step({ point, label, rate: 0 });

  const grid = Array.from({ length: 1152 }, (_, i) => [i % 48 / 8 - 3, Math.floor(i / 48) / 4 - 3]).flat();
  const plane = await predict({ point: { shape: [1152, 2], data: Float32Array.from(grid) } });
  const rows = Array.from(plane.spiral, (side, i) => ".#"[side] + (i % 48 === 47 ? "\n" : ""));
  const { spiral } = await predict({ point });
  const right = label.data.filter((side, i) => side === spiral[i]).length;
  return { loss: loss[0], accuracy: right / 256, map: rows.join("") };
}

if (import.meta.main) {
  await ensureAdapter();
  const { loss, accuracy, map } = await train(await openDevice());
  console.log(`${map}loss ${loss.toFixed(3)}; ${100 * accuracy}% of the points are told apart`);
}
