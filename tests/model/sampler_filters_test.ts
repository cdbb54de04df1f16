/** Filters of the sampler against plain code that sorts, on the device and in float64, and rows against each other. */
import { assert, assertEquals } from "@std/assert";
import { compileGraph, evaluate, type Graph, trace } from "../../compiler/mod.ts";
import { logprobsOf, sampleTokens } from "../../model/sampler.ts";
import { runGraph } from "../runtime/run_graph.ts";
import { withDevice } from "../runtime/support.ts";
import { seededUniform } from "./seeded.ts";

/** What a row is drawn with. */
interface Row {
  readonly logits: readonly number[];
  readonly seen: readonly number[];
  readonly key: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly factor: number;
}

function samplerGraph(rows: number, padded: number, vocabulary: number): Graph {
  const row = (dtype: "f32" | "u32") => ({ shape: [rows], dtype, role: "batch" } as const);
  return trace(
    ({ logits, seen, factor, ...others }) => ({
      token: sampleTokens(
        logits,
        { vocabulary, penalty: { seen, factor }, ...others } as Parameters<
          typeof sampleTokens
        >[1],
      ),
    }),
    {
      logits: { shape: [rows, padded], dtype: "f32", role: "batch" },
      seen: { shape: [rows, padded], dtype: "i32", role: "batch" },
      key: row("u32"),
      temperature: row("f32"),
      topK: row("f32"),
      topP: row("f32"),
      minP: row("f32"),
      factor: row("f32"),
    },
  );
}

function inputsOf(rows: readonly Row[]) {
  const floats = (of: (row: Row) => number) => Float32Array.from(rows, of);
  return {
    logits: Float32Array.from(rows.flatMap(({ logits }) => logits)),
    seen: Int32Array.from(rows.flatMap(({ seen }) => seen)),
    key: Uint32Array.from(rows, ({ key }) => key),
    temperature: floats((row) => row.temperature),
    topK: floats((row) => row.topK),
    topP: floats((row) => row.topP),
    minP: floats((row) => row.minP),
    factor: floats((row) => row.factor),
  };
}

/** Tokens that a row may draw, by sorting. */
function allowedBy(
  { logits, seen, temperature, topK, topP, minP, factor }: Row,
  vocabulary: number,
): Set<number> {
  const scores = logits.slice(0, vocabulary).map((score, i) =>
    seen[i] ? (score > 0 ? score / factor : score * factor) : score
  );
  const highest = Math.max(...scores);
  if (temperature === 0) return new Set([scores.indexOf(highest)]);
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const least = scores[order[Math.min(topK, vocabulary) - 1]];
  let kept = order.filter((i) => scores[i] >= least);
  const mass = (i: number) => Math.exp((scores[i] - highest) / temperature);
  if (topP < 1) {
    const all = kept.reduce((sum, i) => sum + mass(i), 0);
    let sum = 0;
    const needed = kept.findIndex((i) => (sum += mass(i)) >= topP * all);
    const last = scores[kept[needed]];
    kept = kept.filter((i) => scores[i] >= last);
  }
  return new Set(kept.filter((i) => mass(i) >= minP));
}

function randomRow(uniform: () => number, padded: number, spread: number): Row {
  const among = (list: readonly number[]) => list[Math.floor(uniform() * list.length)];
  return {
    // Steps of a quarter make ties.
    logits: Array.from({ length: padded }, () => Math.round(4 * spread * (uniform() - 0.5)) / 4),
    seen: Array.from({ length: padded }, () => uniform() < 0.3 ? 1 : 0),
    key: Math.floor(uniform() * 2 ** 32),
    temperature: among([0, 0.5, 1, 2]),
    topK: among([1, 3, 10, padded]),
    topP: among([1e-6, 0.3, 0.9, 1]),
    minP: among([0, 0, 0.1, 1]),
    factor: among([1, 1.3, 0.8]),
  };
}

Deno.test("no filter lets through what sorting would not, nor takes away what it would leave", () => {
  const seed = 41;
  const uniform = seededUniform(seed);
  const [padded, vocabulary] = [40, 37];
  const graph = samplerGraph(1, padded, vocabulary);
  for (let trial = 0; trial < 60; trial++) {
    const row = randomRow(uniform, padded, 8);
    const allowed = allowedBy(row, vocabulary);
    const drawn = new Set<number>();
    for (let key = 0; key < 25; key++) {
      const [token] = evaluate(graph, inputsOf([{ ...row, key: key * 7919 }])).token;
      assert(
        allowed.has(token),
        `seed ${seed}, trial ${trial}: ${token} of ${[...allowed]} ${JSON.stringify(row)}`,
      );
      drawn.add(token);
    }
    if (allowed.size <= 2 && row.temperature >= 1) {
      assertEquals(
        drawn.size,
        allowed.size,
        `seed ${seed}, trial ${trial}: all of ${[...allowed]} should come up`,
      );
    }
  }
});

Deno.test("a row draws the same token alone and among others, on the device", async () => {
  const seed = 43;
  const uniform = seededUniform(seed);
  await withDevice(async (device) => {
    for (const [padded, vocabulary] of [[256, 256], [5120, 5003]] as const) {
      const rows = Array.from({ length: 7 }, () => randomRow(uniform, padded, 30));
      const run = async (some: readonly Row[]) => {
        const graph = samplerGraph(some.length, padded, vocabulary);
        const program = compileGraph(graph, device.capabilities);
        return Array.from((await runGraph(device, graph, program, inputsOf(some))).token, Number);
      };
      const together = await run(rows);
      for (const [i, row] of rows.entries()) {
        assertEquals(await run([row]), [together[i]], `seed ${seed}, row ${i}`);
        assert(allowedBy(row, vocabulary).has(together[i]), `seed ${seed}, row ${i} drew ${together[i]}`);
      }
    }
  });
});

Deno.test("log-probabilities are those of the softmax, likeliest first, on the device", async () => {
  const uniform = seededUniform(47);
  const [rows, padded, vocabulary, top] = [3, 5120, 5003, 5];
  const logits = Float32Array.from({ length: rows * padded }, () => 10 * uniform());
  const token = Int32Array.of(0, 17, vocabulary - 1);
  const graph = trace(({ logits, token }) => ({ ...logprobsOf(logits, token, { vocabulary, top }) }), {
    logits: { shape: [rows, padded], dtype: "f32", role: "batch" },
    token: { shape: [rows], dtype: "i32", role: "batch" },
  });
  await withDevice(async (device) => {
    const program = compileGraph(graph, device.capabilities);
    const { own, topTokens, topLogprobs } = await runGraph(device, graph, program, { logits, token });
    for (let row = 0; row < rows; row++) {
      const scores = logits.subarray(row * padded, row * padded + vocabulary);
      const total = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
      const close = (actual: unknown, expected: number) => assert(Math.abs(Number(actual) - expected) < 1e-4);
      close(own[row], scores[token[row]] - total);
      const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, top);
      assertEquals(Array.from(topTokens.subarray(row * top, (row + 1) * top), Number), order);
      order.forEach((each, i) => close(topLogprobs[row * top + i], scores[each] - total));
    }
  });
});
