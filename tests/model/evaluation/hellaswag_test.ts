/**
 * HellaSwag's losses against float64, one text at a time, on a model whose predictions are far from even.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluate, trace } from "../../../compiler/mod.ts";
import { byteTokenizer } from "../../../data/byte_tokenizer.ts";
import type { HellaSwagExample } from "../../../data/mod.ts";
import {
  HellaSwag,
  type HellaSwagLoadOptions,
  type HellaSwagResult,
  least,
  standardError,
} from "../../../model/evaluation/hellaswag.ts";
import { hidden, logits } from "../../../model/gpt2.ts";
import { layoutParameters, unpack } from "../../../model/params.ts";
import { writeArenas } from "../../../model/session.ts";
import { type GpuDevice, openDevice } from "../../../runtime/mod.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";

const LAYOUT = layoutParameters(LIVELY);
const WEIGHTS = livelyWeights(LIVELY);

/** The last one has an ending that is longer than the model's context of 32 bytes with what comes before it. */
const EXAMPLES: readonly HellaSwagExample[] = [
  { context: "He saw the sea", endings: ["and ran", "whales", "but I", "of a day off"], label: 1 },
  { context: "It", endings: ["is", "was cold on the deck", "went by", "x"], label: 0 },
  { context: "Call me", endings: ["Ishmael.", "later,", "a boat!", "when it rains"], label: 3 },
  { context: "Some years ago he was", endings: ["here", "in the South Seas", "old", "no one"], label: 2 },
];

async function withDevice(body: (device: GpuDevice) => Promise<void>): Promise<void> {
  const device = await openDevice();
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

async function score(
  device: GpuDevice,
  options: HellaSwagLoadOptions & { examples?: readonly HellaSwagExample[]; weights?: Float32Array } = {},
): Promise<HellaSwagResult & { cut: number }> {
  const { examples = EXAMPLES, weights = WEIGHTS } = options;
  const states = device.createStates();
  const hellaswag = await HellaSwag.load(device, states, LIVELY, byteTokenizer(), examples, options);
  writeArenas(states, LAYOUT, "params", weights);
  return { ...await hellaswag.run(), cut: hellaswag.cut };
}

/** Losses of the tokens of a text, the first excepted, in float64. */
function referenceLosses(text: Uint8Array): number[] {
  const T = text.length;
  const graph = trace(
    ({ params, tokens }) => {
      const tensors = unpack(LAYOUT, [params]);
      return { logits: logits(tensors, hidden(LIVELY, tensors, tokens)) };
    },
    {
      params: { shape: [LAYOUT.size], dtype: "f32", role: "state" },
      tokens: { shape: [1, T], dtype: "i32", role: "batch" },
    },
  );
  const scores = evaluate(graph, { params: WEIGHTS, tokens: text }).logits;
  const V = LIVELY.vocabulary;
  return Array.from(text.subarray(1), (target, t) => {
    const row = scores.subarray(t * V, (t + 1) * V);
    const highest = row.reduce((a, b) => Math.max(a, b));
    return highest + Math.log(row.reduce((sum, x) => sum + Math.exp(x - highest), 0)) - row[target];
  });
}

Deno.test("an ending's losses are those of its text alone, summed and as a mean over its tokens", () =>
  withDevice(async (device) => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    const found = await score(device);
    let [correct, correctNorm] = [0, 0];
    EXAMPLES.forEach(({ context, endings, label }, example) => {
      const expected = endings.map((ending) => {
        const text = bytes(`${context} ${ending}`).slice(-LIVELY.context);
        const scored = Math.min(ending.length + 1, text.length - 1);
        return { sum: referenceLosses(text).slice(-scored).reduce((a, b) => a + b), scored };
      });
      expected.forEach(({ sum, scored }, ending) => {
        assertAlmostEquals(found.losses[example].sums[ending], sum, 1e-3);
        assertAlmostEquals(found.losses[example].means[ending], sum / scored, 1e-4);
      });
      const right = (values: number[]) => values.every((value) => value >= values[label]) ? 1 : 0;
      correct += right(expected.map(({ sum }) => sum));
      correctNorm += right(expected.map(({ sum, scored }) => sum / scored));
    });
    const { losses: _, ...counts } = found;
    assertEquals(counts, {
      correct,
      correctNorm,
      count: 4,
      acc: correct / 4,
      accNorm: correctNorm / 4,
      cut: 1,
    });
  }));

Deno.test("results depend neither on rows, nor on other examples, nor much on the precision", () =>
  withDevice(async (device) => {
    const all = await score(device);
    const close = (found: HellaSwagResult, tolerance: number, first = 0) =>
      found.losses.forEach(({ sums }, example) =>
        sums.forEach((sum, i) => assertAlmostEquals(sum, all.losses[first + example].sums[i], tolerance))
      );
    close(await score(device, { rows: 1 }), 1e-3);
    close(await score(device, { examples: EXAMPLES.slice(2, 3) }), 1e-3, 2);
    close(await score(device, { dtype: "bf16" }), 1);
  }));

Deno.test("each evaluation is of the parameters that lie there then", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const hellaswag = await HellaSwag.load(device, states, LIVELY, byteTokenizer(), EXAMPLES, { rows: 1 });
    const other = livelyWeights(LIVELY, 8);
    const evaluated = [];
    for (const weights of [WEIGHTS, other, WEIGHTS]) {
      writeArenas(states, LAYOUT, "params", weights);
      evaluated.push(await hellaswag.run());
    }
    assertEquals(evaluated[2], evaluated[0]);
    assert(evaluated[0].losses[0].sums[0] !== evaluated[1].losses[0].sums[0]);
    // A model without numbers is right nowhere, not wherever the first ending is.
    writeArenas(states, LAYOUT, "params", new Float32Array(LAYOUT.size).fill(NaN));
    const { correct, correctNorm, count } = await hellaswag.run();
    assertEquals({ correct, correctNorm, count }, { correct: 0, correctNorm: 0, count: 4 });
  }));

Deno.test("progress counts whole examples, and only before the end", () =>
  withDevice(async (device) => {
    const states = device.createStates();
    const examples = Array.from({ length: 24 }, (_, i) => EXAMPLES[i % 3]);
    const hellaswag = await HellaSwag.load(device, states, LIVELY, byteTokenizer(), examples, { rows: 1 });
    writeArenas(states, LAYOUT, "params", WEIGHTS);
    assert(hellaswag.runs > 3);
    const told: number[] = [];
    const { count } = await hellaswag.run((score) => {
      assert(score.correct <= score.count && score.acc === score.correct / score.count);
      told.push(score.count);
    });
    assertEquals(count, 24);
    assert(told.length > 0 && told.every((count, i) => count < 24 && count >= (told[i - 1] ?? 1)), `${told}`);
  }));

Deno.test("the first of equal endings counts, and none where a loss is no number", () => {
  assertEquals(least([2, 1, 1, 3]), 1);
  assertEquals(least([1, 1, 1, 1]), 0);
  assertEquals(least([1, NaN, 0, 2]), -1);
  assertAlmostEquals(standardError(0.2859, 10_042), 0.0045, 5e-5);
});
