/**
 * Trains a vision transformer (Dosovitskiy et al. 2020) without convolutions to read digits in noisy pictures.
 * @module
 */
import { attention, compile, constant, type Device, grad, type Tensor } from "../mod.ts";
import { ensureAdapter, openDevice } from "../../runtime/mod.ts";

const FONT = "75557 26227 71747 71717 55711 74717 74757 71222 75757 75717".split(" "); // octal rows
/** Whether a digit has ink at a pixel; a dot of the font is 2 x 2 pixels. */
const ink = (digit: string, y: number, x: number) => x < 0 ? 0 : +(digit[y >> 1] ?? 0) >> (2 - (x >> 1)) & 1;
const PIXELS = Array.from({ length: 256 }, (_, i) => i);
const SHAPE = [9536]; // all parameters are in one flat tensor

/** Scores [n, 10] of n pictures: 16 patches of 4 x 4 pixels, a block of attention and MLP, the mean of the patches. */
function score(weights: Tensor, image: Tensor) {
  let end = 0;
  const [n] = image.shape;
  const take = (...shape: number[]) => weights.slice([end], [end += shape[0] * shape[1]]).reshape(shape);
  const [one, zero] = [1, 0].map((each) => constant(each, "f32").broadcastTo([32]));
  const patches = image.reshape([n, 4, 4, 4, 4]).transpose([0, 1, 3, 2, 4]).reshape([n * 16, 16]);
  const x = patches.matmul(take(16, 32)).reshape([n, 16, 32]).add(take(16, 32));
  const normed = x.layerNorm(one, zero);
  const heads = () => normed.matmul(take(32, 32)).reshape([n, 16, 2, 16]).transpose([0, 2, 1, 3]);
  const seen = attention(heads(), heads(), heads(), { causal: false }).transpose([0, 2, 1, 3]);
  const h = x.add(seen.reshape([n, 16, 32]).matmul(take(32, 32)));
  const y = h.add(h.layerNorm(one, zero).matmul(take(32, 64)).gelu().matmul(take(64, 32)));
  return y.layerNorm(one, zero).mean([1]).matmul(take(32, 10));
}

/** Trains on new pictures at every step; gives the loss and the accuracy on others. */
export async function train(device: Device, steps = 500, seed = 1) {
  const random = () => (seed = seed * 16807 % 2147483647) / 2147483647; // Park and Miller's generator
  const draw = (n: number) => {
    const digit = { shape: [n], data: Int32Array.from({ length: n }, () => Math.floor(10 * random())) };
    const pixels = Array.from(digit.data, (d) => {
      const [top, left] = [2 + Math.floor(3 * random()), 4 + Math.floor(3 * random())];
      return PIXELS.map((i) => 0.6 * random() + ink(FONT[d], (i >> 4) - top, i % 16 - left));
    });
    return { image: { shape: [n, 16, 16], data: Float32Array.from(pixels.flat()) }, digit };
  };
  const data = Float32Array.from({ length: SHAPE[0] }, () => 0.7 * (random() - 0.5));
  const zeros = { shape: SHAPE, dtype: "f32" } as const;
  const step = compile(({ w, m, v, image, digit, rate }) => {
    const loss = score(w, image).crossEntropy(digit);
    const [g] = grad(loss, [w]);
    const next = { m: m.mul(0.9).add(g.mul(0.1)), v: v.mul(0.99).add(g.pow(2).mul(0.01)) };
    return { loss, ...next, w: w.sub(next.m.div(next.v.sqrt().add(1e-8)).mul(rate)) }; // a step of Adam
  }, { device, state: { w: { shape: SHAPE, data }, m: zeros, v: zeros } });
  const predict = compile(({ w, image }) => ({ digit: score(w, image).argmax(1) }), { device, state: step });
  for (let i = 0; i < steps; i++) await step.run({ ...draw(32), rate: 0.006 * (1 - i / steps) });
  const { image, digit } = draw(512);
  const [{ loss }, found] = [await step({ image, digit, rate: 0 }), await predict({ image })];
  return { loss: loss[0], accuracy: digit.data.filter((each, i) => each === found.digit[i]).length / 512 };
}

if (import.meta.main) {
  await ensureAdapter();
  console.log(await train(await openDevice())); // such as { loss: 0.21, accuracy: 0.95 }
}
