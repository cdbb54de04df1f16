/**
 * Random programs in f32 and f16 on the device against float64. Fused kernels keep f16 values in registers without
 * rounding them, eager ones store every one: both must lie about as far from the reference as rounding explains.
 */
import { BASELINE, compileGraph, evaluate, type Graph, type Mode } from "../../compiler/mod.ts";
import { type GpuDevice, openDevice, type TensorData } from "../../runtime/mod.ts";
import { evaluateRounded, halfInputs, inHalfPrecision } from "../support/half_precision.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { failureReport, shrink } from "../support/shrink.ts";

const GRAPHS = 50;
/** What rounding may do, in multiples of the distance between the reference with rounding and the one without. */
const SPREAD = 8;
/** Rounding of a few f16 results, relative to the largest value of an output. */
const TOLERANCE = 3e-3;
/** Programs that magnify rounding beyond this say nothing about kernels. */
const ILL_CONDITIONED = 0.05;

const VARIANTS: readonly { readonly mode: Mode; readonly baseline: boolean }[] = [
  { mode: "fused", baseline: false },
  { mode: "eager", baseline: false },
  { mode: "fused", baseline: true },
];

async function run(
  device: GpuDevice,
  graph: Graph,
  inputs: Record<string, TensorData>,
  { mode, baseline }: typeof VARIANTS[number],
): Promise<Record<string, TensorData>> {
  const target = baseline ? { ...device.capabilities, ...BASELINE, f16: true } : device.capabilities;
  const states = device.createStates();
  const loaded = await device.load(compileGraph(graph, target, { mode, name: mode }), states);
  const batch: Record<string, TensorData> = {};
  const scalars: Record<string, number> = {};
  for (const { op, attrs } of graph.nodes) {
    if (op !== "input") continue;
    const name = attrs.name as string;
    if (attrs.role === "scalar") scalars[name] = inputs[name][0];
    else if (attrs.role === "state") states.write(name, 0, inputs[name]);
    else batch[name] = inputs[name];
  }
  loaded.run({ batch, scalars });
  const outputs = await loaded.readAll();
  loaded.destroy();
  states.destroy();
  return outputs;
}

/** What differs, in words, or undefined. */
async function difference(
  device: GpuDevice,
  graph: Graph,
  seed: number,
  variant: typeof VARIANTS[number],
): Promise<string | undefined> {
  const values = randomInputs(graph, seed);
  const expected = evaluate(graph, values);
  const rounded = evaluateRounded(graph, values);
  const actual = await run(device, graph, halfInputs(graph, values), variant);
  for (const { name } of graph.outputs) {
    const scale = expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const spread = expected[name].reduce((most, x, i) => Math.max(most, Math.abs(x - rounded[name][i])), 0);
    if (!(spread <= ILL_CONDITIONED * scale)) continue;
    for (const [i, value] of expected[name].entries()) {
      if (Math.abs(value - actual[name][i]) <= SPREAD * spread + TOLERANCE * scale) continue;
      return `${name}[${i}] is ${actual[name][i]}, the reference says ${value}, with rounding ${
        rounded[name][i]
      }`;
    }
  }
  return undefined;
}

for (const variant of VARIANTS) {
  const title = `${variant.mode}${variant.baseline ? " on the baseline target" : ""}`;
  Deno.test(`${GRAPHS} random programs in mixed precision give the reference's values, ${title}`, async () => {
    const device = await openDevice();
    try {
      if (!device.capabilities.f16) return;
      for (let seed = 1; seed <= GRAPHS; seed++) {
        const plain = randomGraph(seed);
        const graph = inHalfPrecision(plain, randomInputs(plain, seed), seed);
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
