/**
 * Windows of a graph's outputs are what the whole outputs hold there.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { BASELINE, decompose, evaluate, type Graph } from "../../compiler/mod.ts";
import { restrictTo, type Window } from "../../compiler/restrict.ts";
import { Prng } from "../support/prng.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { tinyTrainStep } from "../support/tiny_gpt2.ts";

/** A window of every node's output, at a random place. */
function randomWindows({ outputs, nodes }: Graph, prng: Prng): Window[] {
  return outputs.map(({ name, node }) => {
    const { shape } = nodes[node];
    const starts = shape.map((size) => prng.integer(0, size - 1));
    return { name, node, starts, ends: shape.map((size, axis) => prng.integer(starts[axis] + 1, size)) };
  });
}

/** The elements of a window. */
function cut(values: Float64Array, shape: readonly number[], { starts, ends }: Window): number[] {
  return Array.from(values).filter((_, element) => {
    let rest = element;
    return shape.toReversed().every((size, back) => {
      const axis = shape.length - 1 - back;
      const index = rest % size;
      rest = Math.floor(rest / size);
      return index >= starts[axis] && index < ends[axis];
    });
  });
}

Deno.test("windows hold what the whole results of random programs hold there", () => {
  for (let seed = 0; seed < 150; seed++) {
    const graph = decompose(randomGraph(seed), BASELINE);
    const inputs = randomInputs(graph, seed);
    const windows = randomWindows(graph, new Prng(seed));
    const expected = evaluate(graph, inputs);
    const found = evaluate(restrictTo(graph, windows), inputs);
    for (const window of windows) {
      const part = cut(expected[window.name], graph.nodes[window.node].shape, window);
      assertEquals(Array.from(found[window.name]), part, `seed ${seed}, ${window.name}`);
    }
  }
});

Deno.test("a window of a product's rows computes no other rows", () => {
  const graph = decompose(tinyTrainStep(), BASELINE);
  const product = graph.nodes.findLast(({ op, shape }) =>
    op === "matmul" && shape.length === 2 && shape[0] > 8
  )!;
  const window = { name: "part", node: product.id, starts: [2, 0], ends: [3, product.shape[1]] };
  const { nodes } = restrictTo(graph, [window]);
  assert(nodes.some(({ op, shape }) => op === "matmul" && shape[0] === 1 && shape[1] === product.shape[1]));
});
