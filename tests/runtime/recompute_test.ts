/**
 * Programs that recompute to keep a budget of memory, on the device: they give what the reference gives.
 */
import { assertGreater, assertLessOrEqual } from "@std/assert";
import {
  type Capabilities,
  compileGraph,
  evaluate,
  type Graph,
  MemoryBudgetError,
  type Program,
  sizeOf,
} from "../../compiler/mod.ts";
import { openDevice } from "../../runtime/mod.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { type InputValues, randomInputs } from "../support/random_graph.ts";
import { randomNetwork } from "../support/random_network.ts";
import { tinyConfig } from "../support/tiny_gpt2.ts";
import { runGraph } from "./run_graph.ts";

const NETWORKS = 6;
/** Rounding of float32 over the networks' depth; a wrong element is off by much more. */
const TOLERANCE = 4e-4;

/** The program that fits the least memory in which the graph can run. */
function smallest(graph: Graph, target: Capabilities): Program {
  try {
    return compileGraph(graph, target, { memoryBytes: 0 });
  } catch (error) {
    if (!(error instanceof MemoryBudgetError)) throw error;
    return compileGraph(graph, target, { memoryBytes: error.needed });
  }
}

Deno.test(`${NETWORKS} random networks in the least memory give the reference's values`, async () => {
  const device = await openDevice();
  try {
    let recomputing = 0;
    for (let seed = 1; seed <= NETWORKS; seed++) {
      const graph = randomNetwork(seed);
      const program = smallest(graph, device.capabilities);
      if (program.recomputation!.multiplyAdds > 0) recomputing++;
      const inputs = randomInputs(graph, seed);
      const expected = evaluate(graph, inputs);
      const actual = await runGraph(device, graph, program, inputs);
      for (const { name, node } of graph.outputs) {
        const scale = expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        for (let i = 0; i < sizeOf(graph.nodes[node].shape); i++) {
          if (expected[name][i] === actual[name][i]) continue;
          const error = Math.abs(expected[name][i] - actual[name][i]);
          assertLessOrEqual(error, TOLERANCE * scale, `seed ${seed}: ${name}[${i}]`);
        }
      }
    }
    assertGreater(recomputing, 2);
  } finally {
    device.destroy();
  }
});

Deno.test("a GPT-2 step in the least memory gives the loss and the gradients of one that keeps everything", async () => {
  const device = await openDevice();
  try {
    const graph = traceTrainStep(tinyConfig(4), { batch: 16, context: 16 });
    const inputs = stepInputs(graph);
    const small = smallest(graph, device.capabilities);
    assertGreater(small.recomputation!.share, 0.05);
    const expected = await runGraph(device, graph, compileGraph(graph, device.capabilities), inputs);
    const actual = await runGraph(device, graph, small, inputs);
    for (const { name } of graph.outputs) {
      const wanted = Array.from(expected[name]);
      const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      wanted.forEach((value, i) => {
        assertLessOrEqual(Math.abs(actual[name][i] - value), 1e-5 * scale, `${name}[${i}]`);
      });
    }
  } finally {
    device.destroy();
  }
});

/** Small parameters, tokens in range, and the scalars of a first step. */
function stepInputs(graph: Graph): InputValues {
  const values = randomInputs(graph, 7);
  for (const [name, data] of Object.entries(values)) {
    if (name === "tokens" || name === "targets") data.forEach((_, i) => data[i] = (i * 37) % 500);
    else if (name === "m" || name === "v") data.fill(0);
    else if (name === "params") data.forEach((value, i) => data[i] = value / 16);
  }
  values.learningRate[0] = 1e-3;
  values.correction1[0] = 10;
  values.correction2[0] = 20;
  return values;
}
