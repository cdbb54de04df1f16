/**
 * The probe against float64, on a model whose attention is far from even.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluate, trace } from "../../../compiler/mod.ts";
import { logitsAt } from "../../../model/gpt2.ts";
import { layoutParameters, unpack } from "../../../model/params.ts";
import { writeArenas } from "../../../model/session.ts";
import { type Observation, packAttention, SCORES, weightOf } from "../../../model/watch/observation.ts";
import { Probe, repeatedTokens } from "../../../model/watch/probe.ts";
import { probeShape, traceProbe } from "../../../model/watch/probe_program.ts";
import { openDevice } from "../../../runtime/mod.ts";
import { LIVELY, livelyWeights } from "../lively_model.ts";

const PROMPT = [...new TextEncoder().encode("Call me Call me")];
const P = PROMPT.length;
const WEIGHTS = livelyWeights(LIVELY);
const TENSORS = ["wpe.weight", "h.1.attn.c_attn.bias"];
const SAMPLE = { tokens: 12, temperature: 0.8, seed: 3 };

let seen: Promise<Observation> | undefined;

function look(): Promise<Observation> {
  return seen ??= (async () => {
    const device = await openDevice();
    try {
      const states = device.createStates();
      const probe = await Probe.load(device, states, LIVELY, {
        prompt: PROMPT,
        sample: SAMPLE,
        tensors: TENSORS,
      });
      writeArenas(states, layoutParameters(LIVELY), "params", WEIGHTS);
      const first = await probe.look();
      assertEquals(await probe.look(), first); // a look changes nothing
      return first;
    } finally {
      device.destroy();
    }
  })();
}

/** What the same program gives in float64. */
function reference(prompt: readonly number[] = PROMPT): Record<string, Float64Array> {
  const shape = probeShape(LIVELY, prompt.length, TENSORS);
  const graph = traceProbe(LIVELY, shape);
  const empty = Object.fromEntries(
    graph.nodes.filter(({ op, attrs }) => op === "input" && String(attrs.name).startsWith("probe_"))
      .map(({ attrs, shape }) => [attrs.name, new Float32Array(shape.reduce((a, b) => a * b, 1))]),
  );
  const tokens = new Int32Array(2 * shape.length);
  const random = repeatedTokens(LIVELY, shape.repeated);
  tokens.set(prompt);
  tokens.set([...random, ...random], shape.length);
  const targets = new Int32Array(2 * shape.length);
  for (const start of [0, shape.length]) targets.set(tokens.subarray(start + 1, start + shape.length), start);
  return evaluate(graph, { ...empty, params: WEIGHTS, tokens, targets });
}

Deno.test("attention is that of float64, each row sums to 1, and no token sees one after it", async () => {
  const { attention } = await look();
  const { probe_attention } = reference();
  const expected = Float32Array.from(probe_attention);
  for (let row = 0; row < LIVELY.layers * LIVELY.heads * P; row++) {
    const weights = expected.subarray(row * P, row * P + P);
    assertAlmostEquals(weights.reduce((sum, weight) => sum + weight, 0), 1, 1e-6);
    assert(weights.subarray(row % P + 1).every((weight) => weight === 0));
  }
  const packed = packAttention(expected, P);
  assertEquals(attention.length, packed.length);
  attention.forEach((byte, i) =>
    assert(Math.abs(byte - packed[i]) <= 1, `entry ${i}: ${byte}, ${packed[i]}`)
  );
});

Deno.test("the first layer's attention is what its definition gives, worked out by hand", async () => {
  const { width: C, heads: H } = LIVELY;
  const D = C / H;
  const layout = layoutParameters(LIVELY);
  const of = (name: string) => {
    const { offset, size } = layout.parameters.find((each) => each.name === name)!;
    return WEIGHTS.subarray(offset, offset + size);
  };
  const [wte, wpe, gamma, beta] = ["wte.weight", "wpe.weight", "h.0.ln_1.weight", "h.0.ln_1.bias"].map(of);
  const [weight, bias] = [of("h.0.attn.c_attn.weight"), of("h.0.attn.c_attn.bias")];
  const rows = PROMPT.map((token, t) => {
    const x = Array.from({ length: C }, (_, c) => wte[token * C + c] + wpe[t * C + c]);
    const mean = x.reduce((sum, v) => sum + v) / C;
    const deviation = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / C + 1e-5);
    const normal = x.map((v, c) => (v - mean) / deviation * gamma[c] + beta[c]);
    return Array.from(
      { length: 2 * C },
      (_, out) => normal.reduce((sum, v, c) => sum + v * weight[c * 3 * C + out], bias[out]),
    );
  });
  const { attention } = await look();
  let at = 0;
  for (let head = 0; head < H; head++) {
    for (let i = 0; i < P; i++) {
      const scores = rows.slice(0, i + 1).map((row) => {
        let dot = 0;
        for (let d = head * D; d < (head + 1) * D; d++) dot += rows[i][d] * row[C + d];
        return Math.exp(dot / Math.sqrt(D));
      });
      const total = scores.reduce((sum, v) => sum + v);
      for (const score of scores) assertAlmostEquals(weightOf(attention[at++]), score / total, 0.005);
    }
  }
});

Deno.test("predictions are the likeliest tokens, and log-probabilities those of the model", async () => {
  const { topTokens, topLogprobs, logprobs } = await look();
  const graph = trace(({ params, tokens, position }) => ({
    logits: logitsAt(LIVELY, unpack(layoutParameters(LIVELY), [params]), tokens, position),
  }), {
    params: { shape: [WEIGHTS.length], dtype: "f32", role: "state" },
    tokens: { shape: [1, P], dtype: "i32", role: "batch" },
    position: { shape: [], dtype: "i32", role: "scalar" },
  });
  const K = topTokens.length / P;
  for (const position of [0, 5, P - 1]) {
    const { logits } = evaluate(graph, { params: WEIGHTS, tokens: PROMPT, position: [position] });
    const total = Math.log(logits.reduce((sum, score) => sum + Math.exp(score), 0));
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]).slice(0, K);
    assertEquals(Array.from(topTokens.subarray(position * K, (position + 1) * K)), order);
    order.forEach((token, i) =>
      assertAlmostEquals(topLogprobs[position * K + i], logits[token] - total, 1e-3)
    );
    if (position < P - 1) {
      assertAlmostEquals(logprobs[position], logits[PROMPT[position + 1]] - total, 1e-3);
    }
  }
});

Deno.test("scores are means of the weights that they are named after", async () => {
  const { scores, repeatLoss } = await look();
  const { probe_attention, probe_repeats, probe_repeat_next } = reference();
  const head = 3;
  const map = probe_attention.subarray(head * P * P, (head + 1) * P * P);
  const mean = (column: (row: number) => number) => {
    let sum = 0;
    for (let row = 2; row < P; row++) sum += map[row * P + column(row)];
    return sum / (P - 2);
  };
  const score = (name: (typeof SCORES)[number]) => scores[head * SCORES.length + SCORES.indexOf(name)];
  assertAlmostEquals(score("previous"), mean((row) => row - 1), 1e-4);
  assertAlmostEquals(score("first"), mean(() => 0), 1e-4);
  assertAlmostEquals(score("self"), mean((row) => row), 1e-4);
  assertAlmostEquals(score("same"), probe_repeats[2 * head], 1e-4);
  assertAlmostEquals(score("induction"), probe_repeats[2 * head + 1], 1e-4);
  assert(score("entropy") > 0 && score("entropy") < 1);
  const half = probe_repeat_next.length / 2;
  const second = probe_repeat_next.subarray(half, 2 * half - 1);
  assertAlmostEquals(repeatLoss[1], -second.reduce((sum, x) => sum + x, 0) / second.length, 1e-3);
});

Deno.test("chosen parameters come out as they are, and a text of the length that was asked for", async () => {
  const { tensors, sample } = await look();
  const expected = TENSORS.flatMap((name) => {
    const { offset, size } = layoutParameters(LIVELY).parameters.find((each) => each.name === name)!;
    return [...WEIGHTS.subarray(offset, offset + size)];
  });
  assertEquals([...tensors], expected);
  assertEquals(sample.length, SAMPLE.tokens);
});

Deno.test("bytes stand for weights to within 0.004", () => {
  for (let weight = 0; weight <= 1; weight += 0.001) {
    const [byte] = packAttention(Float32Array.of(weight), 1);
    assertAlmostEquals(weightOf(byte), weight, 0.004);
  }
});

Deno.test("scores of repetition are means over the maps of the sequence that repeats", () => {
  const random = repeatedTokens(LIVELY, LIVELY.context / 2);
  const R = random.length;
  assertEquals(new Set(random).size, R);
  const { probe_attention, probe_repeats } = reference([...random, ...random]);
  const head = 2;
  const map = probe_attention.subarray(head * 4 * R * R);
  const mean = (back: number) => {
    let sum = 0;
    for (let row = R; row < 2 * R; row++) sum += map[row * 2 * R + row - back];
    return sum / R;
  };
  assertAlmostEquals(probe_repeats[2 * head], mean(R), 1e-9);
  assertAlmostEquals(probe_repeats[2 * head + 1], mean(R - 1), 1e-9);
});
