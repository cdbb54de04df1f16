/**
 * Tensors past the adapter's limits: loops longer than lavapipe runs (it stops silently after 65,535 iterations of an
 * invocation), and tensors larger than a binding may cover. Either would give plausible wrong numbers without any error.
 */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type Capabilities,
  compileGraph,
  evaluate,
  type Graph,
  LimitError,
  type Program,
  trace,
} from "../../compiler/mod.ts";
import { layoutParameters } from "../../model/params.ts";
import { stepScalars } from "../../model/optimizer.ts";
import { traceInit, traceTrainStep } from "../../model/programs.ts";
import { type GpuDevice, openDevice, type TensorData } from "../../runtime/mod.ts";

type Values = Readonly<Record<string, TensorData>>;

async function withDevice(body: (device: GpuDevice) => Promise<void>): Promise<void> {
  const device = await openDevice();
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

async function run(device: GpuDevice, graph: Graph, batch: Values, target = device.capabilities) {
  const program = compileGraph(graph, target);
  checkBounds(program, target);
  const loaded = await device.load(program, device.createStates());
  loaded.run({ batch });
  const outputs = await loaded.readAll();
  loaded.destroy();
  return outputs;
}

function checkBounds(program: Program, target: Capabilities): void {
  for (const { name, loopIterations } of program.kernels) {
    assert(loopIterations <= target.maxLoopIterations, name);
  }
  for (const { ranges } of program.dispatches) {
    for (const { size } of ranges) assert(size <= target.maxBindingBytes);
  }
}

const f32 = (shape: number[]) => ({ shape, dtype: "f32", role: "batch" }) as const;
const ones = (length: number) => new Float32Array(length).fill(1);

Deno.test("a row of 300,001 elements is summed and normalised to its end", () =>
  withDevice(async (device) => {
    const length = 300_001;
    const x = ones(length);
    x[length - 2] = 5;
    const graph = trace(({ x }) => ({
      sum: x.sum([1]),
      max: x.max([1]),
      last: x.softmax().slice([0, length - 2], [1, length]),
    }), { x: f32([1, length]) });
    const { sum, max, last } = await run(device, graph, { x });
    assertEquals([sum[0], max[0]], [length + 4, 5]);
    const total = length - 1 + Math.exp(4);
    assertAlmostEquals(last[0], Math.exp(4) / total, 1e-8);
    assertAlmostEquals(last[1], 1 / total, 1e-9);
  }));

Deno.test("a row that argmax cannot search within the loop limit is refused with both numbers, a shorter one is searched", () =>
  withDevice(async (device) => {
    const graphOf = (length: number) => trace(({ x }) => ({ at: x.argmax(1) }), { x: f32([1, length]) });
    const { message } = assertThrows(() => compileGraph(graphOf(300_001), device.capabilities), LimitError);
    assert(message.includes("argmax") && message.includes("300001") && message.includes("65535"), message);
    const x = ones(200_000);
    x[199_999] = 2;
    const { at } = await run(device, graphOf(200_000), { x });
    assertEquals(at[0], 199_999);
  }));

Deno.test("a column of 150,000 rows is summed to its end", () =>
  withDevice(async (device) => {
    const rows = 150_000;
    const graph = trace(({ x }) => ({ sum: x.sum([0]), max: x.max([0]) }), { x: f32([rows, 4]) });
    const x = ones(rows * 4);
    x[rows * 4 - 1] = 3;
    const { sum, max } = await run(device, graph, { x });
    assertEquals([...sum], [rows, rows, rows, rows + 2]);
    assertEquals([...max], [1, 1, 1, 3]);
  }));

Deno.test("a product of depth 300,001 sums every depth, in all transpose forms", () =>
  withDevice(async (device) => {
    const depth = 300_001;
    for (const [transA, transB] of [[false, false], [true, false], [false, true], [true, true]]) {
      const graph = trace(({ a, b }) => ({ c: a.matmul(b, { transA, transB }) }), {
        a: f32(transA ? [depth, 2] : [2, depth]),
        b: f32(transB ? [2, depth] : [depth, 2]),
      });
      const { c } = await run(device, graph, { a: ones(2 * depth), b: ones(2 * depth) });
      assertEquals([...c], [depth, depth, depth, depth]);
    }
  }));

Deno.test("70,000 updates of one row are all added, though sorting and adding are loops as long as they", () =>
  withDevice(async (device) => {
    const count = 70_000;
    const graph = trace(({ updates, at }) => ({ rows: updates.scatterAdd(at, 3) }), {
      updates: f32([count, 4]),
      at: { shape: [count], dtype: "i32", role: "batch" },
    });
    const at = new Int32Array(count).fill(1);
    const { rows } = await run(device, graph, { updates: ones(count * 4), at });
    assertEquals([...rows], [0, 0, 0, 0, count, count, count, count, 0, 0, 0, 0]);
  }));

Deno.test("with bindings of 16 KiB a training step with a vocabulary of 500 gives what it gives without", () =>
  withDevice(async (device) => {
    const config = { layers: 2, width: 32, heads: 2, context: 16, vocabulary: 500 };
    const shape = { batch: 2, context: 16 };
    const { size } = layoutParameters(config);
    const tokens = Int32Array.from({ length: 32 }, (_, i) => (i * 97) % 500);
    const targets = tokens.map((_, i) => tokens[(i + 1) % 32]);
    const results = [];
    for (const maxBindingBytes of [device.capabilities.maxBindingBytes, 16 * 1024]) {
      const target = { ...device.capabilities, maxBindingBytes };
      assert(maxBindingBytes > 1e6 || size * 4 > 8 * maxBindingBytes);
      const states = device.createStates();
      const load = async (graph: Graph) => {
        const program = compileGraph(graph, target);
        checkBounds(program, target);
        return await device.load(program, states);
      };
      (await load(traceInit(config))).run({ scalars: { key: 7 } });
      const step = await load(traceTrainStep(config, shape));
      for (let i = 0; i < 3; i++) step.run({ batch: { tokens, targets }, scalars: stepScalars(i, 1e-2) });
      results.push(await step.readAll(["loss", "gradNorm", "params"]));
    }
    const [whole, cut] = results;
    assertAlmostEquals(cut.loss[0], whole.loss[0], 1e-4);
    assertAlmostEquals(cut.gradNorm[0], whole.gradNorm[0], 1e-3);
    let worst = 0;
    for (let i = 0; i < size; i++) worst = Math.max(worst, Math.abs(cut.params[i] - whole.params[i]));
    // AdamW divides by the gradient's own size: where that is nearly 0, rounding decides the direction of a step.
    assert(worst < 0.07, `parameters differ by ${worst}`);
  }));

Deno.test("gathers, transposes, products and softmax over tensors far past the binding limit equal the reference", () =>
  withDevice(async (device) => {
    const target = { ...device.capabilities, maxBindingBytes: 16 * 1024 };
    const graph = trace(({ table, at, wide }) => ({
      rows: table.gather(at),
      soft: wide.softmax(),
      product: wide.matmul(table, { transA: false, transB: false }),
      tall: wide.matmul(wide, { transA: true }).sum([1]),
    }), {
      table: f32([400, 24]),
      at: { shape: [9], dtype: "i32", role: "batch" },
      wide: f32([64, 400]),
    });
    const noise = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898));
    const batch = {
      table: noise(9600),
      at: Int32Array.of(0, 399, 17, 200, 201, -1, 400, 3, 3),
      wide: noise(25600),
    };
    const expected = evaluate(graph, batch);
    const actual = await run(device, graph, batch, target);
    for (const [name, values] of Object.entries(expected)) {
      values.forEach((value, i) => assertAlmostEquals(actual[name][i], value, 2e-3, `${name}[${i}]`));
    }
  }));

Deno.test("a read that no window can bring under the binding limit is refused with the kernel and both numbers", () =>
  withDevice((device) => {
    const graph = trace(({ table }) => ({ turned: table.transpose().mul(2).sum([1]) }), {
      table: f32([400, 24]),
    });
    const target = { ...device.capabilities, maxBindingBytes: 16 * 1024 };
    const { message } = assertThrows(() => compileGraph(graph, target), LimitError);
    assert(message.includes("sum") && message.includes("maxStorageBufferBindingSize is 16384"), message);
    return Promise.resolve();
  }));
