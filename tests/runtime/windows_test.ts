/**
 * Random programs on targets far smaller than the device: bindings of 8 KiB make windows and split gathers and
 * products, four storage buffers make the fuser give up parts of its groups, loops of 128 iterations make stages. None
 * of that may change a value. `large_tensors_test.ts` has the training step.
 */
import { assert, assertAlmostEquals, assertGreater } from "@std/assert";
import {
  type Capabilities,
  compileGraph,
  concat,
  evaluate,
  type Graph,
  LimitError,
  type Program,
  trace,
} from "../../compiler/mod.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { type InputValues, randomGraph, randomInputs } from "../support/random_graph.ts";
import { stepScalars } from "../../model/optimizer.ts";
import { traceInit, traceLoss } from "../../model/programs.ts";
import { TINY_BATCH, tinyConfig, tinyTrainStep } from "../support/tiny_gpt2.ts";
import { withDevice } from "./support.ts";
import { runGraph } from "./run_graph.ts";

const GRAPHS = 40;
const TOLERANCE = 4e-4;

async function differenceFrom(
  device: GpuDevice,
  program: Program,
  graph: Graph,
  inputs: InputValues,
): Promise<string | undefined> {
  const expected = evaluate(graph, inputs);
  const actual = await runGraph(device, graph, program, inputs);
  for (const { name } of graph.outputs) {
    const scale = expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const at = expected[name].findIndex((value, i) =>
      !(Math.abs(value - actual[name][i]) <= TOLERANCE * scale)
    );
    if (at >= 0) return `${name}[${at}] is ${actual[name][at]}, the reference says ${expected[name][at]}`;
  }
  return undefined;
}

const SMALL: Readonly<Record<string, Partial<Capabilities>>> = {
  "bindings of 8 KiB": { maxBindingBytes: 8 * 1024 },
  "four storage buffers": { maxStorageBuffers: 4 },
  "loops of 128 iterations": { maxLoopIterations: 128 },
  "buffers of 64 KiB and 3 workgroups a dimension": { maxBufferBytes: 64 * 1024, maxWorkgroups: 3 },
};

for (const [name, change] of Object.entries(SMALL)) {
  Deno.test(`random programs give the reference's values with ${name}`, () =>
    withDevice(async (device) => {
      const target = { ...device.capabilities, ...change };
      let compiled = 0;
      for (let seed = 1000; seed < 1000 + GRAPHS; seed++) {
        const graph = randomGraph(seed);
        let program: Program;
        try {
          program = compileGraph(graph, target);
        } catch (error) {
          if (error instanceof LimitError) continue;
          throw new Error(`seed ${seed}`, { cause: error });
        }
        compiled++;
        const wrong = await differenceFrom(device, program, graph, randomInputs(graph, seed));
        assert(wrong === undefined, `seed ${seed}: ${wrong}`);
      }
      assertGreater(compiled, GRAPHS / 2);
    }));
}

Deno.test("views, concatenations, transposed products and scattered sums past the binding limit equal the reference", () =>
  withDevice(async (device) => {
    const maxBindingBytes = 16 * 1024;
    const graph = trace(({ a, b, at }) => ({
      joined: concat([a.mul(2), b.tanh()], 0),
      beside: concat([a, b], 1).sum([1]),
      products: a.matmul(b, { transB: true }).sum([0]),
      tall: a.matmul(b, { transA: true }),
      both: a.matmul(b.reshape([30, 300]), { transA: true, transB: true }),
      rows: a.scatterAdd(at, 400),
      soft: a.softmax().mul(b).sum([1]),
      column: a.mul(b).sum([0]),
    }), {
      a: { shape: [300, 30], dtype: "f32", role: "batch" },
      b: { shape: [300, 30], dtype: "f32", role: "batch" },
      at: { shape: [300], dtype: "i32", role: "batch" },
    });
    const noise = (phase: number) =>
      Float32Array.from({ length: 9000 }, (_, i) => Math.sin(i * 12.9898 + phase));
    const inputs = {
      a: noise(0),
      b: noise(1),
      at: Int32Array.from({ length: 300 }, (_, i) => (i * 7) % 350),
    };
    const program = compileGraph(graph, { ...device.capabilities, maxBindingBytes });
    for (const { ranges } of program.dispatches) {
      for (const { size } of ranges) assert(size <= maxBindingBytes);
    }
    const wrong = await differenceFrom(device, program, graph, inputs);
    assert(wrong === undefined, wrong);
  }));

Deno.test("chains cut for want of bindings compute every output", () =>
  withDevice(async (device) => {
    const graph = trace(({ a, b }) => {
      const outputs: Record<string, typeof a> = {};
      let y = a.matmul(b).add(b);
      for (let i = 0; i < 12; i++) {
        outputs[`y${i}`] = y = y.tanh().sub(y.mean([1], { keepDims: true })).add(i);
      }
      return outputs;
    }, {
      a: { shape: [12, 12], dtype: "f32", role: "batch" },
      b: { shape: [12, 12], dtype: "f32", role: "batch" },
    });
    const inputs = {
      a: new Float32Array(144).map((_, i) => Math.sin(i)),
      b: new Float32Array(144).fill(0.1),
    };
    for (const maxStorageBuffers of [4, 5, 8]) {
      const program = compileGraph(graph, { ...device.capabilities, maxStorageBuffers });
      const wrong = await differenceFrom(device, program, graph, inputs);
      assert(wrong === undefined, `${maxStorageBuffers} buffers: ${wrong}`);
    }
  }));

Deno.test("a training step on bindings of 16 KiB has the loss of the float64 reference", () =>
  withDevice(async (device) => {
    const config = tinyConfig();
    const states = device.createStates();
    const target = { ...device.capabilities, maxBindingBytes: 16 * 1024 };
    const load = async (graph: Graph) => await device.load(compileGraph(graph, target), states);
    const init = await load(traceInit(config));
    init.run({ scalars: { key: 11 } });
    const { params } = await init.readAll(["params"]);
    assertGreater(params.byteLength, 8 * target.maxBindingBytes);
    const tokens = Int32Array.from({ length: 32 }, (_, i) => (i * 61) % config.vocabulary);
    const targets = tokens.map((_, i) => tokens[(i + 1) % 32]);
    const { loss } = evaluate(traceLoss(config, TINY_BATCH), {
      params: params as Float32Array,
      tokens,
      targets,
    });
    const step = await load(tinyTrainStep());
    step.run({ batch: { tokens, targets }, scalars: stepScalars(0, 1e-3) });
    const { loss: actual } = await step.readAll(["loss"]);
    assertAlmostEquals(actual[0], loss[0], 1e-4);
  }));
