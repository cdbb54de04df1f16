import { assert, assertEquals } from "@std/assert";
import { BASELINE, decompose, evaluate, printGraph, sizeOf, verifyGraph } from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { failureReport, shrink } from "../support/shrink.ts";

Deno.test("a seed always gives the same graph and the same inputs", () => {
  for (let seed = 0; seed < 20; seed++) {
    assertEquals(printGraph(randomGraph(seed)), printGraph(randomGraph(seed)));
    assertEquals(randomInputs(randomGraph(seed), seed), randomInputs(randomGraph(seed), seed));
  }
});

/** They have no gradient and work on states in place; `set_rows_test.ts` and `cached_attention_test.ts` draw their own cases. */
const WITHOUT_GRADIENT = ["setRows", "cachedAttention"];

Deno.test("random graphs reach every op of the table, all ranks, donations and the backward pass", () => {
  const missing = new Set(Object.keys(OPS).filter((op) => !WITHOUT_GRADIENT.includes(op)));
  const ranks = new Set<number>();
  let donations = 0;
  let gradients = 0;
  for (let seed = 0; seed < 500; seed++) {
    const traced = randomGraph(seed);
    for (const { op, shape } of [...traced.nodes, ...decompose(traced, BASELINE).nodes]) {
      missing.delete(op);
      ranks.add(shape.length);
    }
    donations += Number(traced.outputs.some((output) => output.donates));
    gradients += Number(traced.nodes.some((node) => node.origin.phase === "backward"));
  }
  assertEquals([...missing], []);
  for (const rank of [0, 1, 2, 3, 4]) assert(ranks.has(rank));
  assert(donations > 200 && gradients > 80);
});

Deno.test("values of random graphs are finite and small, so that float32 can be compared to float64", () => {
  for (let seed = 0; seed < 200; seed++) {
    const graph = randomGraph(seed, { maxElements: 300 });
    for (const [name, values] of Object.entries(evaluate(graph, randomInputs(graph, seed)))) {
      assert(values.every((value) => Math.abs(value) < 1e4), `seed ${seed}, output ${name}`);
    }
  }
});

Deno.test("the sizes of random graphs keep to their limit", () => {
  for (let seed = 0; seed < 200; seed++) {
    for (const { op, shape } of randomGraph(seed, { maxElements: 64, gradients: 0 }).nodes) {
      assert(sizeOf(shape) <= 256, `seed ${seed}: ${op} [${shape}]`);
    }
  }
});

Deno.test("shrinking leaves only what the failure needs", async () => {
  const fails = (graph: ReturnType<typeof randomGraph>) => {
    verifyGraph(graph);
    evaluate(graph, randomInputs(graph, 1));
    return graph.nodes.some(({ op, inputs }) => op === "matmul" && inputs[0] === inputs[1]);
  };
  let tried = 0;
  for (let seed = 0; tried < 10; seed++) {
    const graph = randomGraph(seed);
    if (!fails(graph)) continue;
    tried++;
    const smallest = await shrink(graph, fails);
    // The product of an input with itself; when the failure is in dead code nothing can be taken away.
    const isLive = smallest.nodes.length < graph.nodes.length;
    if (isLive) assertEquals(smallest.nodes.map((node) => node.op), ["input", "matmul"], `seed ${seed}`);
    assert(failureReport(seed, "wrong", smallest).includes("matmul"));
  }
});

Deno.test("a graph that does not fail without its unused nodes is handed back as it is", async () => {
  const graph = randomGraph(3);
  assertEquals(await shrink(graph, () => false), graph);
});
