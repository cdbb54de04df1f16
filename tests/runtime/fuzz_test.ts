/**
 * Random programs on the device: fused and eager kernels must both give what the float64 reference gives. This is what
 * finds a fusion that reads the wrong element, an overwritten buffer or a wrong schedule.
 */
import { BASELINE, compileGraph, evaluate, type Graph, type Mode, sizeOf } from "../../compiler/mod.ts";
import { type GpuDevice, openDevice } from "../../runtime/mod.ts";
import type { TensorData } from "../../runtime/mod.ts";
import { type InputValues, randomGraph, randomInputs } from "../support/random_graph.ts";
import { failureReport, shrink } from "../support/shrink.ts";
import { runGraph } from "./run_graph.ts";

const GRAPHS = 120;
/** Rounding of float32 over the graphs' depth; a wrong element is off by much more. */
const TOLERANCE = 4e-4;

const VARIANTS: readonly { readonly mode: Mode; readonly baseline: boolean }[] = [
  { mode: "fused", baseline: false },
  { mode: "eager", baseline: false },
  { mode: "fused", baseline: true },
];

async function runOnDevice(
  device: GpuDevice,
  graph: Graph,
  inputs: InputValues,
  { mode, baseline }: typeof VARIANTS[number],
): Promise<Record<string, TensorData>> {
  // The baseline has no subgroups and few bindings: it takes the generators' other paths on the same device.
  const target = baseline
    ? { ...device.capabilities, ...BASELINE, maxStorageBuffers: 8 }
    : device.capabilities;
  const program = compileGraph(graph, target, { mode, name: mode });
  return await runGraph(device, graph, program, inputs);
}

/** What differs, in words, or undefined. */
async function difference(
  device: GpuDevice,
  graph: Graph,
  seed: number,
  variant: typeof VARIANTS[number],
): Promise<string | undefined> {
  const inputs = randomInputs(graph, seed);
  const expected = evaluate(graph, inputs);
  const actual = await runOnDevice(device, graph, inputs, variant);
  for (const { name, node } of graph.outputs) {
    const scale = expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    for (let i = 0; i < sizeOf(graph.nodes[node].shape); i++) {
      if (expected[name][i] === actual[name][i]) continue;
      const error = Math.abs(expected[name][i] - actual[name][i]);
      if (!(error <= TOLERANCE * scale)) {
        const where = `${variant.mode}${variant.baseline ? " on the baseline target" : ""}: ${name}[${i}]`;
        return `${where} is ${actual[name][i]}, the reference says ${expected[name][i]}`;
      }
    }
  }
  return undefined;
}

for (const variant of VARIANTS) {
  const title = `${variant.mode}${variant.baseline ? " on the baseline target" : ""}`;
  Deno.test(`${GRAPHS} random programs give the reference's values, ${title}`, async () => {
    const device = await openDevice();
    try {
      for (let seed = 1; seed <= GRAPHS; seed++) {
        const graph = randomGraph(seed);
        const attempt = async (candidate: Graph) => {
          try {
            return await difference(device, candidate, seed, variant);
          } catch (problem) {
            return `${problem}`;
          }
        };
        const problem = await attempt(graph);
        if (problem === undefined) continue;
        const smallest = await shrink(graph, async (candidate) => await attempt(candidate) !== undefined);
        throw new Error(failureReport(seed, await attempt(smallest) ?? problem, smallest));
      }
    } finally {
      device.destroy();
    }
  });
}
