/**
 * How long each launch of a program takes on a device, and the best rates that it was seen to reach: by a copy, by a product of large
 * matrices, or by a kernel of the program itself. They are the roof that the page draws.
 *
 * @module
 */
import { type Compilation, compileGraph, type Graph, type InputSpec, trace } from "../../compiler/mod.ts";
import { type GpuDevice, type LoadedProgram, timePasses } from "../../runtime/mod.ts";
import { openOn, type StepValues } from "./step_values.ts";

/** What was measured. */
export interface LaunchTimes {
  /** Median milliseconds of each launch. */
  readonly ms: readonly number[];
  readonly ceilings: { readonly bytesPerSecond: number; readonly flopsPerSecond: number };
}

/** Times of one launch, of which the median is taken; the first round warms up. */
const ROUNDS = 6;
/** Passes of one submission: a query set holds 4096 stamps. */
const TOGETHER = 1000;
/** Shorter launches are too short to tell a rate by. */
const LEAST_MS = 0.2;
/** Elements of the copy, and rows of the product. */
const COPIED = 2 ** 24;
const SIDE = 1024;

/** Runs a program on given values and times its launches, one pass for each. */
export async function measureLaunches(
  device: GpuDevice,
  compilation: Compilation,
  values: StepValues,
): Promise<LaunchTimes> {
  using opened = await openOn(device, compilation, values);
  const { loaded } = opened;
  loaded.run({ batch: values.batch, scalars: values.scalars });
  const ms = await medianTimes(device, loaded);
  const plain = await ceilingsOf(device);
  const best = (key: "bytes" | "flops", known: number) =>
    compilation.program.dispatches.reduce(
      (most, dispatch, i) => ms[i] >= LEAST_MS ? Math.max(most, dispatch[key] / ms[i] * 1000) : most,
      known,
    );
  // On a busy machine a kernel of the program may do better than the plain case did.
  const ceilings = {
    bytesPerSecond: best("bytes", plain.bytesPerSecond),
    flopsPerSecond: best("flops", plain.flopsPerSecond),
  };
  return { ms, ceilings };
}

async function medianTimes(device: GpuDevice, { launches }: LoadedProgram): Promise<number[]> {
  const rounds: number[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const times: number[] = [];
    for (let first = 0; first < launches.length; first += TOGETHER) {
      const passes = launches.slice(first, first + TOGETHER).map((
        { pipeline, group, dispatch: { workgroups } },
      ) => (
        { ready: { pipeline, group, workgroups }, dispatches: 1 }
      ));
      times.push(...await timePasses(device, passes));
    }
    if (round > 0) rounds.push(times);
  }
  return launches.map((_, i) => rounds.map((times) => times[i]).sort((a, b) => a - b)[rounds.length >> 1]);
}

async function ceilingsOf(device: GpuDevice): Promise<LaunchTimes["ceilings"]> {
  const state = (shape: number[]): InputSpec => ({ shape, dtype: "f32", role: "state" });
  const copied = await fastest(device, trace(({ x }) => ({ y: x.add(1) }), { x: state([COPIED]) }));
  const square = state([SIDE, SIDE]);
  const product = await fastest(device, trace(({ a, b }) => ({ y: a.matmul(b) }), { a: square, b: square }));
  return { bytesPerSecond: 8 * COPIED / copied * 1000, flopsPerSecond: 2 * SIDE ** 3 / product * 1000 };
}

/** Milliseconds of a program's launches together, as measured. */
async function fastest(device: GpuDevice, graph: Graph): Promise<number> {
  const states = device.createStates();
  const loaded = await device.load(compileGraph(graph, device.capabilities, { name: "ceiling" }), states);
  try {
    loaded.run({});
    const times = await medianTimes(device, loaded);
    return times.reduce((sum, each) => sum + each, 0);
  } finally {
    loaded.destroy();
    states.destroy();
  }
}
