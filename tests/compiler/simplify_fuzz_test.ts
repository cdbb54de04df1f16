import { assertEquals } from "@std/assert";
import {
  BASELINE,
  decompose,
  evaluate,
  type Graph,
  printGraph,
  simplify,
  verifyGraph,
} from "../../compiler/mod.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { failureReport, shrink } from "../support/shrink.ts";

/** What is wrong with the simplified graph, in words; undefined when nothing is. */
function problemOf(graph: Graph, seed: number): string | undefined {
  const result = simplify(graph);
  verifyGraph(result);
  if (printGraph(simplify(result)) !== printGraph(result)) return "a second pass finds more to simplify";
  const inputs = randomInputs(graph, seed);
  const expected = evaluate(graph, inputs);
  const actual = evaluate(result, inputs);
  for (const [name, values] of Object.entries(expected)) {
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    const wrong = values.findIndex((value, i) => !(Math.abs(value - actual[name][i]) <= 1e-9 * scale));
    if (wrong >= 0) return `${name}[${wrong}] was ${values[wrong]} and became ${actual[name][wrong]}`;
  }
}

function problemOrError(graph: Graph, seed: number): string | undefined {
  try {
    return problemOf(graph, seed);
  } catch (error) {
    return String(error);
  }
}

Deno.test("simplified random graphs have the same values, with and without composites", async () => {
  for (let seed = 0; seed < 400; seed++) {
    const traced = randomGraph(seed);
    const graph = seed % 2 === 0 ? traced : decompose(traced, BASELINE);
    const problem = problemOrError(graph, seed);
    if (problem === undefined) continue;
    const smallest = await shrink(graph, (candidate) => problemOrError(candidate, seed) !== undefined);
    throw new Error(failureReport(seed, problemOrError(smallest, seed) ?? problem, smallest));
  }
});

Deno.test("simplifying leaves the names and types of outputs and inputs alone", () => {
  const signature = ({ nodes, outputs }: Graph) => ({
    inputs: nodes.filter((node) => node.op === "input").map(({ attrs }) => attrs),
    outputs: outputs.map(({ name, node, donates }) => [name, donates, nodes[node].shape, nodes[node].dtype]),
  });
  for (let seed = 1000; seed < 1050; seed++) {
    const graph = randomGraph(seed);
    assertEquals(signature(simplify(graph)), signature(graph), `seed ${seed}`);
  }
});
