/**
 * Random programs in f32 and f16 or bf16 on the device against float64. Fused kernels keep values in registers without
 * rounding them, eager ones store every one: both must lie about as far from the reference as rounding explains.
 */
import { assert } from "@std/assert";
import { BASELINE, compileGraph, evaluate, type Graph, type Mode } from "../../compiler/mod.ts";
import { type GpuDevice, openDevice, type TensorData } from "../../runtime/mod.ts";
import { evaluateRounded, halfInputs, inHalfPrecision } from "../support/half_precision.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { failureReport, shrink } from "../support/shrink.ts";
import { runGraph } from "./run_graph.ts";

const GRAPHS = 30;
/** What rounding may do, in multiples of the distance between the reference with rounding and the one without. */
const SPREAD = 8;
/** A few roundings, relative to the largest value of an output. */
const TOLERANCE = { f16: 3e-3, bf16: 2e-2 };
/** Programs that magnify rounding beyond this say nothing about kernels. */
const ILL_CONDITIONED = 0.05;

interface Variant {
  readonly half: "f16" | "bf16";
  readonly mode: Mode;
  readonly baseline: boolean;
}

const VARIANTS: readonly Variant[] = (["f16", "bf16"] as const).flatMap((half) => [
  { half, mode: "fused", baseline: false },
  { half, mode: "eager", baseline: false },
  { half, mode: "fused", baseline: true },
]);

async function run(
  device: GpuDevice,
  graph: Graph,
  inputs: Record<string, TensorData>,
  { mode, baseline }: Variant,
): Promise<Record<string, TensorData>> {
  const target = baseline ? { ...device.capabilities, ...BASELINE, f16: true } : device.capabilities;
  const program = compileGraph(graph, target, { mode, name: mode });
  return await runGraph(device, graph, program, inputs);
}

/** What differs, in words, or undefined. */
async function difference(
  device: GpuDevice,
  graph: Graph,
  seed: number,
  variant: Variant,
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
      if (Math.abs(value - actual[name][i]) <= SPREAD * spread + TOLERANCE[variant.half] * scale) continue;
      return `${name}[${i}] is ${actual[name][i]}, the reference says ${value}, with rounding ${
        rounded[name][i]
      }`;
    }
  }
  return undefined;
}

for (const variant of VARIANTS) {
  const title = `${variant.half}, ${variant.mode}${variant.baseline ? " on the baseline target" : ""}`;
  Deno.test(`${GRAPHS} random programs in mixed precision give the reference's values, ${title}`, async () => {
    const device = await openDevice();
    try {
      if (variant.half === "f16" && !device.capabilities.f16) return;
      let refused = 0;
      for (let seed = 1; seed <= GRAPHS; seed++) {
        const plain = randomGraph(seed);
        const graph = inHalfPrecision(plain, randomInputs(plain, seed), seed, variant.half);
        const attempt = async (candidate: Graph) => {
          try {
            return await difference(device, candidate, seed, variant);
          } catch (problem) {
            if (`${problem}`.includes("bf16 is stored four")) {
              refused++;
              return undefined;
            }
            return `${problem}`;
          }
        };
        const problem = await attempt(graph);
        if (problem === undefined) continue;
        const smallest = await shrink(graph, async (candidate) => await attempt(candidate) !== undefined);
        throw new Error(failureReport(seed, await attempt(smallest) ?? problem, smallest));
      }
      assert(refused < GRAPHS / 2, `${refused} of ${GRAPHS} programs were refused`);
    } finally {
      device.destroy();
    }
  });
}
