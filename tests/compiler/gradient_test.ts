import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BASELINE,
  decompose,
  evaluate,
  grad,
  type Graph,
  iota,
  ShapeError,
  sizeOf,
  type Tensor,
  trace,
} from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { Prng } from "../support/prng.ts";
import { assertValues, compute, f32, random } from "./compute.ts";
import { GRADIENT_CASES, type GradientCase } from "./gradient_cases.ts";

const SEED = 17;
/** Step of central differences: their error is its square, and the rounding of float64 divided by it. */
const STEP = 1e-5;

/**
 * A loss around the case's function, with nodes before and after it, so that its rules get cotangents that are neither
 * constant nor 1 and pass theirs on; outputs `loss` and one gradient for each input.
 */
function differentiate({ shapes, fn }: GradientCase): Graph {
  const specs = Object.fromEntries(
    shapes.map((shape, i) => [`x${i}`, { shape, dtype: "f32" as const, role: "batch" as const }]),
  );
  return trace((given) => {
    const inputs = shapes.map((_, i) => given[`x${i}`]);
    const y = fn(...inputs.map((x) => x.mul(1.25).mul(0.8)));
    const weights = iota([sizeOf(y.shape)], 0).cast("f32").mul(1.3).add(0.4).sin();
    const loss = y.mul(y).mul(0.3).add(y).mul(weights.reshape(y.shape)).sum();
    return { loss, ...Object.fromEntries(grad(loss, inputs).map((dx, i) => [`d${i}`, dx])) };
  }, specs);
}

for (const given of GRADIENT_CASES) {
  Deno.test(`the gradient of ${given.name} is that of finite differences`, () => {
    const graph = decompose(differentiate(given), BASELINE);
    const [low, high] = given.range ?? [-1, 1];
    const prng = new Prng(SEED);
    const inputs = Object.fromEntries(
      given.shapes.map((shape, i) => [`x${i}`, Float64Array.from(random(prng, shape, low, high).data)]),
    );
    const values = evaluate(graph, inputs);
    const lossOnly = { nodes: graph.nodes, outputs: graph.outputs.slice(0, 1) };
    for (const [name, data] of Object.entries(inputs)) {
      const gradient = values[name.replace("x", "d")];
      assertEquals(gradient.length, data.length);
      for (let i = 0; i < data.length; i++) {
        const [above, below] = [STEP, -STEP].map((step) =>
          evaluate(lossOnly, { ...inputs, [name]: data.with(i, data[i] + step) }).loss[0]
        );
        const expected = (above - below) / (2 * STEP);
        const near = Math.abs(gradient[i] - expected) <= 1e-7 * Math.max(1, Math.abs(expected));
        assert(near, `d${name}[${i}] is ${gradient[i]}, differences give ${expected} (seed ${SEED})`);
      }
    }
  });
}

Deno.test("every op with a gradient rule is differentiated by one of these cases", () => {
  const used = new Set<string>();
  for (const given of GRADIENT_CASES) {
    for (const { op, origin } of differentiate(given).nodes) if (origin.phase === "forward") used.add(op);
  }
  const differentiable = Object.keys(OPS).filter((op) => OPS[op].vjp);
  assertEquals(differentiable.filter((op) => !used.has(op)), []);
});

/** Gradient of the sum of `fn(x)`. */
const gradientOf = (fn: (x: Tensor) => Tensor) => (x: Tensor) => grad(fn(x).sum(), [x])[0];

Deno.test("equal maxima share the gradient of a maximum", () => {
  const x = f32([1, 3, 3, 2, 2, 2], [2, 3]);
  const third = 1 / 3;
  assertValues(compute(gradientOf((x) => x.max(1)), x), f32([0, 0.5, 0.5, third, third, third], [2, 3]));
});

Deno.test("a tensor that the loss does not depend on has gradient 0 in its own shape", () => {
  const zeros = compute((x, y) => grad(x.sum(), [y])[0], f32([1]), f32([1, 2, 3, 4], [2, 2]));
  assertValues(zeros, f32([0, 0, 0, 0], [2, 2]));
});

Deno.test("a loss has gradients by intermediate values, and gradient 1 by itself", () => {
  const by = compute((x) => {
    const y = x.mul(3);
    return grad(y.mul(y).sum(), [y])[0];
  }, f32([1, 2]));
  assertValues(by, f32([6, 12]));
  assertValues(compute((x) => grad(x, [x])[0], f32([5], [])), f32([1], []));
});

Deno.test("a value that is used in several places adds up its gradients", () => {
  const x = f32([0.5, -1]);
  const gradient = compute(gradientOf((x) => x.mul(2).add(x.mul(x)).sub(x).add(x.sum().mul(x))), x);
  // d/dx_i of 2x + x² - x + (sum x) x: 1 + 2 x_i + 2 sum x.
  assertValues(gradient, f32([1 + 1 - 1, 1 - 2 - 1]));
});

Deno.test("nothing flows through comparisons, indices and integers", () => {
  const x = f32([1, -2, 3]);
  assertValues(compute(gradientOf((x) => x.ge(0).cast("f32").mul(x)), x), f32([1, 0, 1]));
  assertValues(compute(gradientOf((x) => x.mul(x.cast("i32").cast("f32"))), x), f32([1, -2, 3]));
  assertValues(compute(gradientOf((x) => x.gather(x.argmax().reshape([1]))), x), f32([0, 0, 1]));
});

Deno.test("gradients of gradients are differences of gradients", () => {
  const second = (x: Tensor) => grad(gradientOf((x) => x.mul(x).mul(x).add(x.tanh()))(x).sum(), [x])[0];
  const x = [0.3, -0.7];
  const expected = x.map((v) => 6 * v - 2 * Math.tanh(v) * (1 - Math.tanh(v) ** 2));
  assertValues(compute(second, f32(x)), f32(expected));
});

Deno.test("backward nodes are of the phase backward, with scope and line of the forward", () => {
  const graph = differentiate(GRADIENT_CASES.find(({ name }) => name === "layerNorm")!);
  const [forward] = graph.nodes.filter(({ op }) => op === "layerNorm");
  const backward = graph.nodes.filter(({ origin }) =>
    origin.phase === "backward" && origin.site === forward.origin.site
  );
  assert(backward.length > 10);
  assert(backward.every(({ origin }) => origin.scope === forward.origin.scope));
});

function refused(fn: (x: Tensor) => Tensor): ShapeError {
  return assertThrows(() => compute(fn, f32([1, 2])), ShapeError);
}

Deno.test("a loss that is no float scalar is refused, and so are integers and ops without gradient", () => {
  assertEquals(refused((x) => grad(x, [x])[0]).problem, "the loss must be a float scalar, not f32[2]");
  assertEquals(
    refused((x) => grad(x.sum().cast("i32"), [x])[0]).problem,
    "the loss must be a float scalar, not i32[]",
  );
  assertEquals(
    refused((x) => grad(x.sum(), [x.cast("i32")])[0]).problem,
    "there is no gradient by i32[2]: only floats have one",
  );
  assertEquals(refused((x) => grad(x.floor().sum(), [x])[0]).problem, "floor has no gradient");
});
