/** Attention to a cache on a device, against the reference, and row by row against itself. */
import { assert, assertEquals } from "@std/assert";
import { cachedAttention, compileGraph, evaluate, type Graph, trace } from "../../compiler/mod.ts";
import { Prng } from "../support/prng.ts";
import { runGraph } from "./run_graph.ts";
import { withDevice } from "./support.ts";

interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly slots: number;
  readonly rows: number;
  readonly width: number;
}

function graphOf({ batch, heads, queries, slots, rows, width }: Sizes): Graph {
  const cache = { shape: [slots, heads, rows, width], dtype: "f32", role: "batch" } as const;
  return trace(
    ({ q, keys, values, slot, last }) => ({ o: cachedAttention(q, { keys, values, slot, last }) }),
    {
      q: { shape: [batch, heads, queries, width], dtype: "f32", role: "batch" },
      keys: cache,
      values: cache,
      slot: { shape: [batch], dtype: "i32", role: "batch" },
      last: { shape: [batch, queries], dtype: "i32", role: "batch" },
    },
  );
}

function inputsOf(sizes: Sizes, random: Prng) {
  const { batch, heads, queries, slots, rows, width } = sizes;
  const numbers = (n: number) => Float32Array.from({ length: n }, () => 4 * random.uniform() - 2);
  return {
    q: numbers(batch * heads * queries * width),
    keys: numbers(slots * heads * rows * width),
    values: numbers(slots * heads * rows * width),
    slot: Int32Array.from({ length: batch }, () => random.integer(0, slots - 1)),
    last: Int32Array.from({ length: batch * queries }, () => random.integer(0, rows - 1)),
  };
}

const CASES: readonly Sizes[] = [
  { batch: 1, heads: 12, queries: 1, slots: 2, rows: 100, width: 64 },
  { batch: 3, heads: 4, queries: 5, slots: 4, rows: 64, width: 32 },
  { batch: 2, heads: 1, queries: 2, slots: 2, rows: 7, width: 8 },
  { batch: 2, heads: 2, queries: 3, slots: 3, rows: 33, width: 128 },
  { batch: 2, heads: 2, queries: 3, slots: 3, rows: 20, width: 12 },
  { batch: 1, heads: 2, queries: 1, slots: 1, rows: 5, width: 6 },
];

for (const sizes of CASES) {
  Deno.test(`attention to a cache sees the rows that it should, and no others: ${JSON.stringify(sizes)}`, async () => {
    const graph = graphOf(sizes);
    const inputs = inputsOf(sizes, new Prng(11));
    const expected = evaluate(graph, inputs).o;
    await withDevice(async (device) => {
      const without = { ...device.capabilities, subgroupSize: 0 };
      for (
        const [name, target, mode] of [
          ["fused", device.capabilities, "fused"],
          ["eager", device.capabilities, "eager"],
          ["without subgroups", without, "fused"],
        ] as const
      ) {
        const { o } = await runGraph(device, graph, compileGraph(graph, target, { mode }), inputs);
        o.forEach((value, i) =>
          assert(
            Math.abs(Number(value) - expected[i]) < 2e-5,
            `${name}: o[${i}] = ${value}, not ${expected[i]}`,
          )
        );
      }
    });
  });
}

Deno.test("a query's result has the same bits alone and beside others", async () => {
  const sizes = { batch: 5, heads: 3, queries: 1, slots: 5, rows: 48, width: 64 };
  const inputs = inputsOf(sizes, new Prng(5));
  const alone = { ...sizes, batch: 1 };
  await withDevice(async (device) => {
    const run = async (shape: Sizes, given: typeof inputs) => {
      const graph = graphOf(shape);
      return (await runGraph(device, graph, compileGraph(graph, device.capabilities), given)).o;
    };
    const together = await run(sizes, inputs);
    const each = sizes.heads * sizes.width;
    for (let b = 0; b < sizes.batch; b++) {
      const own = await run(alone, {
        ...inputs,
        q: inputs.q.slice(b * each, (b + 1) * each),
        slot: inputs.slot.slice(b, b + 1),
        last: inputs.last.slice(b, b + 1),
      });
      assertEquals(own, together.slice(b * each, (b + 1) * each), `row ${b}`);
    }
  });
});
