/**
 * GPT-2's graphs against float64: the loss of a fresh model, every gradient against finite differences, accumulation,
 * the optimizer.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluate } from "../../compiler/reference.ts";
import { trace } from "../../compiler/trace.ts";
import { grad } from "../../compiler/differentiate.ts";
import type { ModelConfig } from "../../model/config.ts";
import { logitsAt, loss } from "../../model/gpt2.ts";
import { ADAMW, stepScalars } from "../../model/optimizer.ts";
import { layoutParameters, pack, unpack } from "../../model/params.ts";
import {
  traceApplyStep,
  traceInit,
  traceLoss,
  traceMicroStep,
  traceTrainStep,
} from "../../model/programs.ts";
import { seededTokens } from "./seeded.ts";

const TINY: ModelConfig = { layers: 2, width: 12, heads: 3, context: 5, vocabulary: 70 };
const LAYOUT = layoutParameters(TINY);
const SHAPE = { batch: 2, context: 5 };

function freshParameters(config: ModelConfig, key: number): Float64Array {
  const { size } = layoutParameters(config);
  const empty = new Float32Array(size);
  return evaluate(traceInit(config), { params: empty, m: empty, v: empty, key: [key] }).params;
}

/** A fresh model whose every parameter has been moved, so that no gradient is 0 by symmetry. */
function movedParameters(): Float64Array {
  const params = freshParameters(TINY, 5);
  for (const { offset, size, shape, rows } of LAYOUT.parameters) {
    for (let i = 0; i < size / shape[0] * rows; i++) params[offset + i] += 0.3 * Math.sin(offset + 1.7 * i);
  }
  return params;
}

function batch(seed: number, count = 10) {
  return {
    tokens: seededTokens(seed, count, TINY.vocabulary),
    targets: seededTokens(seed + 1, count, TINY.vocabulary),
  };
}

Deno.test("a fresh model's parameters have GPT-2's deviations, and padded rows are 0", () => {
  const config = { ...TINY, width: 48, heads: 3 };
  const params = freshParameters(config, 7);
  for (const { name, shape, size, offset, rows } of layoutParameters(config).parameters) {
    const used = params.subarray(offset, offset + size / shape[0] * rows);
    const mean = used.reduce((sum, x) => sum + x, 0) / used.length;
    const deviation = Math.sqrt(used.reduce((sum, x) => sum + (x - mean) ** 2, 0) / used.length);
    const isMatrix = shape.length === 2;
    const expected = isMatrix ? (name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(4) : 0.02) : 0;
    // Five standard errors of a deviation that is estimated from so many draws.
    assertAlmostEquals(deviation, expected, 5 * expected / Math.sqrt(2 * used.length) + 1e-12, name);
    if (!isMatrix) assertEquals(mean, /ln_.*weight/.test(name) ? 1 : 0, name);
    assert(params.subarray(offset + used.length, offset + size).every((x) => x === 0), name);
  }
});

Deno.test("another seed gives another model and the same seed the same", () => {
  const first = freshParameters(TINY, 1);
  assertEquals(first, freshParameters(TINY, 1));
  assert(first.some((x, i) => x !== freshParameters(TINY, 2)[i]));
});

Deno.test("a fresh model's loss is near the logarithm of the vocabulary", () => {
  const config: ModelConfig = { layers: 2, width: 32, heads: 2, context: 16, vocabulary: 500 };
  const graph = traceLoss(config, { batch: 2, context: 16 });
  const value = evaluate(graph, {
    params: freshParameters(config, 3),
    tokens: seededTokens(1, 32, 500),
    targets: seededTokens(2, 32, 500),
  }).loss[0];
  assertAlmostEquals(value, Math.log(500), 0.1);
});

Deno.test("every kind of parameter has the gradient that finite differences of the loss give", () => {
  const graph = trace(({ params, tokens, targets }) => {
    const parts = unpack(LAYOUT, [params]);
    const value = loss(TINY, parts, tokens, targets);
    const gradients = grad(value, Object.values(parts));
    const named = Object.fromEntries(Object.keys(parts).map((name, i) => [name, gradients[i]]));
    return { grads: pack(LAYOUT, named)[0] };
  }, {
    params: { shape: [LAYOUT.size], dtype: "f32", role: "state" },
    tokens: { shape: [2, 5], dtype: "i32", role: "batch" },
    targets: { shape: [2, 5], dtype: "i32", role: "batch" },
  });
  const params = movedParameters();
  const { tokens, targets } = batch(11);
  const { grads } = evaluate(graph, { params, tokens, targets });
  const lossGraph = traceLoss(TINY, SHAPE);
  const lossAt = (index: number, change: number) => {
    const moved = params.slice();
    moved[index] += change;
    return evaluate(lossGraph, { params: moved, tokens, targets }).loss[0];
  };
  for (const { name, offset, size, shape, rows } of LAYOUT.parameters) {
    const used = size / shape[0] * rows;
    // The rows of the token embedding that the batch reads are the ones with both kinds of gradient.
    const places = name === "wte.weight"
      ? [tokens[0] * 12 + 3, tokens[7] * 12, used - 1]
      : [0, used >> 1, used - 1];
    for (const place of places) {
      const index = offset + place;
      const numeric = (lossAt(index, 1e-5) - lossAt(index, -1e-5)) / 2e-5;
      assertAlmostEquals(grads[index], numeric, 1e-7 + 1e-6 * Math.abs(numeric), `${name}[${place}]`);
    }
    assert(grads.subarray(offset + used, offset + size).every((x) => x === 0), `padding of ${name}`);
  }
});

Deno.test("a token's logits do not depend on the tokens after it", () => {
  const graph = trace(
    ({ params, tokens, position }) => ({
      logits: logitsAt(TINY, unpack(LAYOUT, [params]), tokens, position),
    }),
    {
      params: { shape: [LAYOUT.size], dtype: "f32", role: "state" },
      tokens: { shape: [1, 5], dtype: "i32", role: "batch" },
      position: { shape: [], dtype: "i32", role: "scalar" },
    },
  );
  const params = movedParameters();
  const run = (tokens: number[]) => evaluate(graph, { params, tokens, position: [2] }).logits;
  assertEquals(run([1, 2, 3, 4, 5]), run([1, 2, 3, 60, 0]));
  assert(run([1, 2, 3, 4, 5]).some((x, i) => x !== run([1, 9, 3, 4, 5])[i]));
  assertEquals(run([1, 2, 3, 4, 5]).length, TINY.vocabulary);
});

Deno.test("micro steps and an apply step do what one step with the whole batch does", () => {
  const params = movedParameters();
  const moment = new Float64Array(LAYOUT.size);
  const scalars = Object.fromEntries(
    Object.entries(stepScalars(0, 1e-2)).map(([name, value]) => [name, [value]]),
  );
  const whole = { tokens: batch(3, 20).tokens, targets: batch(3, 20).targets };
  const expected = evaluate(traceTrainStep(TINY, { batch: 4, context: 5 }), {
    params,
    m: moment,
    v: moment,
    ...whole,
    ...scalars,
  });
  const micro = traceMicroStep(TINY, SHAPE);
  // What an earlier step left must not matter, not even when it is not a number.
  let grads = new Float64Array(LAYOUT.size).fill(NaN);
  let lossSum = new Float64Array([NaN]);
  for (const part of [0, 1]) {
    const sums = evaluate(micro, {
      params,
      grads,
      lossSum,
      tokens: whole.tokens.slice(part * 10, part * 10 + 10),
      targets: whole.targets.slice(part * 10, part * 10 + 10),
      keep: [part],
      weight: [0.5],
    });
    grads = new Float64Array(sums.grads);
    lossSum = new Float64Array(sums.lossSum);
  }
  const actual = evaluate(traceApplyStep(TINY), { params, m: moment, v: moment, grads, lossSum, ...scalars });
  assertAlmostEquals(actual.loss[0], expected.loss[0], 1e-12);
  assertAlmostEquals(actual.gradNorm[0], expected.gradNorm[0], 1e-12);
  expected.params.forEach((value, i) => assertAlmostEquals(actual.params[i], value, 1e-9, `${i}`));
});

Deno.test("a step clips the gradients and applies AdamW with decay on matrices only", () => {
  const params = movedParameters();
  const grads = Float64Array.from(params, (_, i) => 0.05 * Math.cos(3 * i));
  const m = Float64Array.from(params, (_, i) => 0.01 * Math.sin(i));
  const v = Float64Array.from(params, (_, i) => 1e-4 * (1 + Math.sin(2 * i)));
  const { learningRate, correction1, correction2 } = stepScalars(4, 1e-2);
  const actual = evaluate(traceApplyStep(TINY), {
    params,
    m,
    v,
    grads,
    lossSum: [1.5],
    learningRate: [learningRate],
    correction1: [correction1],
    correction2: [correction2],
  });
  const norm = Math.sqrt(grads.reduce((sum, g) => sum + g * g, 0));
  assert(norm > 1, "the test must clip");
  assertEquals(actual.loss[0], 1.5);
  assertAlmostEquals(actual.gradNorm[0], norm, 1e-12);
  for (const { name, shape, size, offset } of LAYOUT.parameters) {
    for (let i = offset; i < offset + size; i++) {
      const g = grads[i] / (norm + 1e-6);
      const m1 = ADAMW.beta1 * m[i] + (1 - ADAMW.beta1) * g;
      const v1 = ADAMW.beta2 * v[i] + (1 - ADAMW.beta2) * g * g;
      const decayed = shape.length === 2 ? params[i] * (1 - 1e-2 * ADAMW.decay) : params[i];
      const direction = m1 / (1 - 0.9 ** 5) / (Math.sqrt(v1 / (1 - 0.95 ** 5)) + ADAMW.epsilon);
      assertAlmostEquals(actual.m[i], m1, 1e-12, name);
      assertAlmostEquals(actual.v[i], v1, 1e-12, name);
      assertAlmostEquals(actual.params[i], decayed - 1e-2 * direction, 1e-9, name);
    }
  }
});
