/**
 * Drawing tokens: top-k, temperature and the distribution, in float64.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { evaluate } from "../../compiler/reference.ts";
import { trace } from "../../compiler/trace.ts";
import { sampleToken } from "../../model/sampler.ts";
import { seededUniform } from "./seeded.ts";

function sampler(size: number) {
  const graph = trace(
    ({ logits, temperature, topK, key }) => ({ token: sampleToken(logits, { temperature, topK, key }) }),
    {
      logits: { shape: [size], dtype: "f32", role: "batch" },
      temperature: { shape: [], dtype: "f32", role: "scalar" },
      topK: { shape: [], dtype: "f32", role: "scalar" },
      key: { shape: [], dtype: "u32", role: "scalar" },
    },
  );
  return (logits: readonly number[], temperature: number, topK: number, key: number) =>
    evaluate(graph, { logits, temperature: [temperature], topK: [topK], key: [key] }).token[0];
}

Deno.test("temperature 0 and top-k 1 take the likeliest token, the first of equals", () => {
  const uniform = seededUniform(1);
  const draw = sampler(50);
  for (let trial = 0; trial < 20; trial++) {
    const logits = Array.from({ length: 50 }, () => Math.round(20 * uniform() - 10));
    const likeliest = logits.indexOf(Math.max(...logits));
    assertEquals(draw(logits, 0, 50, trial), likeliest, `trial ${trial}`);
    assertEquals(logits[draw(logits, 1, 1, trial)], logits[likeliest], `trial ${trial}`);
  }
});

Deno.test("top-k never draws a token outside the k likeliest and draws each of them", () => {
  const logits = Array.from({ length: 30 }, (_, i) => Math.sin(7 * i) / 2);
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
  const draw = sampler(30);
  for (const k of [2, 5, 29]) {
    const allowed = new Set(order.slice(0, k));
    const drawn = new Set<number>();
    for (let key = 0; key < 40 * k; key++) drawn.add(draw(logits, 1, k, key));
    assert([...drawn].every((token) => allowed.has(token)), `k ${k}`);
    assertEquals(drawn.size, k);
  }
});

Deno.test("tokens are drawn as often as the softmax at the temperature says", () => {
  const logits = [0, 1, 2, -1, 0.5];
  const draw = sampler(5);
  const [draws, temperature] = [4000, 0.7];
  const counts = new Array<number>(5).fill(0);
  for (let key = 0; key < draws; key++) counts[draw(logits, temperature, 5, key)]++;
  const weights = logits.map((logit) => Math.exp(logit / temperature));
  const total = weights.reduce((a, b) => a + b);
  weights.forEach((weight, token) => {
    const expected = draws * weight / total;
    // Four standard deviations of a binomial count; the keys are fixed, so this cannot flake.
    const tolerance = 4 * Math.sqrt(expected * (1 - weight / total));
    assert(
      Math.abs(counts[token] - expected) < tolerance,
      `token ${token}: ${counts[token]} not ${expected}`,
    );
  });
});

Deno.test("a large negative or equal row of logits still gives a token of the vocabulary", () => {
  const draw = sampler(4);
  for (const logits of [[-1e4, -1e4, -1e4, -1e4], [1e4, -1e4, 0, 3]]) {
    for (let key = 0; key < 10; key++) {
      const token = draw(logits, 1, 4, key);
      assert(token >= 0 && token < 4);
    }
  }
});
