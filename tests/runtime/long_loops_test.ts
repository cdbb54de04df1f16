/**
 * Loops past 65,535 iterations, where lavapipe stops silently, in the kernels that `large_tensors_test.ts` leaves out:
 * other schedules, eager kernels, many rows, middle axes, and products so deep that the graph is cut.
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { compileGraph, type CompileOptions, type Graph, trace } from "../../compiler/mod.ts";
import type { GpuDevice, TensorData } from "../../runtime/mod.ts";
import { withDevice } from "./support.ts";

const f32 = (...shape: number[]) => ({ shape, dtype: "f32", role: "batch" } as const);

async function run(
  device: GpuDevice,
  graph: Graph,
  batch: Readonly<Record<string, TensorData>>,
  target = device.capabilities,
  options: CompileOptions = {},
): Promise<Record<string, TensorData>> {
  const program = compileGraph(graph, target, options);
  for (const { name, loopIterations } of program.kernels) {
    assert(loopIterations <= device.capabilities.maxLoopIterations, name);
  }
  const loaded = await device.load(program, device.createStates());
  loaded.run({ batch });
  const outputs = await loaded.readAll();
  loaded.destroy();
  return outputs;
}

const ones = (length: number) => new Float32Array(length).fill(1);

Deno.test("softmax over 64 rows of 30,001 is right to the last element of the last row", () =>
  withDevice(async (device) => {
    const [rows, length] = [64, 30_001];
    const graph = trace(({ x }) => {
      const y = x.softmax();
      return { last: y.slice([0, length - 2], [rows, length]), sums: y.sum([1]) };
    }, { x: f32(rows, length) });
    const x = new Float32Array(rows * length);
    for (let row = 0; row < rows; row++) x[(row + 1) * length - 2] = row / 8;
    const { last, sums } = await run(device, graph, { x });
    for (let row = 0; row < rows; row++) {
      const total = length - 1 + Math.exp(row / 8);
      assertAlmostEquals(last[2 * row] * total, Math.exp(row / 8), 2e-3 * Math.exp(row / 8), `row ${row}`);
      assertAlmostEquals(last[2 * row + 1] * total, 1, 1e-3, `row ${row}`);
      assertAlmostEquals(sums[row], 1, 1e-3, `row ${row}`);
    }
  }));

Deno.test("a middle axis of 70,001 is summed to its end", () =>
  withDevice(async (device) => {
    const length = 70_001;
    const graph = trace(({ x }) => ({ sum: x.sum([1]), max: x.max([1]) }), { x: f32(2, length, 3) });
    const x = ones(2 * length * 3);
    x[length * 3 - 1] = 7;
    x[2 * length * 3 - 2] = 9;
    const { sum, max } = await run(device, graph, { x });
    assertEquals([...sum], [0, 0, 6, 0, 8, 0].map((more) => length + more));
    assertEquals([...max], [1, 1, 7, 1, 9, 1]);
  }));

Deno.test("a product of depth 300,001 sums every depth without subgroups and without tiles", () =>
  withDevice(async (device) => {
    const depth = 300_001;
    const graph = trace(({ a, b }) => ({ c: a.matmul(b) }), { a: f32(2, depth), b: f32(depth, 2) });
    const batch = { a: ones(2 * depth), b: ones(2 * depth) };
    const plain = { ...device.capabilities, subgroupSize: 0 };
    assertEquals([...(await run(device, graph, batch, plain)).c], Array(4).fill(depth));
    const shallow = trace(({ a, b }) => ({ c: a.matmul(b) }), { a: f32(2, 200_001), b: f32(200_001, 2) });
    const less = { a: ones(400_002), b: ones(400_002) };
    const { c } = await run(device, shallow, less, device.capabilities, { mode: "eager" });
    assertEquals([...c], Array(4).fill(200_001));
  }));

Deno.test("a product of depth 1,100,003 is cut into several, and no depth is lost between them", () =>
  withDevice(async (device) => {
    const depth = 1_100_003;
    const graph = trace(({ a, b }) => ({ c: a.matmul(b, { transB: true }) }), {
      a: f32(1, depth),
      b: f32(1, depth),
    });
    const { c } = await run(device, graph, { a: ones(depth), b: ones(depth) });
    assertEquals(c[0], depth);
  }));

Deno.test("eager kernels sum rows and columns of 300,001 to their end", () =>
  withDevice(async (device) => {
    const length = 300_001;
    const graph = trace(({ x, y }) => ({ row: x.sum([1]), column: y.max([0]) }), {
      x: f32(1, length),
      y: f32(length, 2),
    });
    const y = ones(2 * length);
    y[2 * length - 2] = 4;
    const { row, column } = await run(device, graph, { x: ones(length), y }, device.capabilities, {
      mode: "eager",
    });
    assertEquals(row[0], length);
    assertEquals([...column], [4, 1]);
  }));
