/**
 * jax-js as a peer: `--backend webgpu` (peer `jax`) or `--backend wasm` (peer `jax-wasm`).
 *
 * @module
 */
import { defaultDevice, grad, init, jit, nn, numpy as np } from "@jax-js/jax";
import { type AttentionCase, EPSILON, type MatmulCase, type RowsCase } from "../cases.ts";
import { watchGpu } from "../instrument.ts";
import { type Kernel, type Library, runPeer } from "../runner.ts";
import { submit, trainingOf } from "./gpt2_jax.ts";

const VERSION = "0.1.25";

/**
 * jax-js adds the gradients of a gather with a function that takes a pointer into a storage buffer, which naga refuses
 * (so every training step with an embedding fails in Deno). The same function by index is accepted.
 */
function scatterByIndex(wgsl: string): string {
  if (!wgsl.includes("fn atomic_add_f32(address: ptr<storage")) return wgsl;
  return wgsl
    .replace(
      "fn atomic_add_f32(address: ptr<storage, atomic<u32>, read_write>,",
      "fn atomic_add_f32(place: u32,",
    )
    .replace("atomicLoad(address)", "atomicLoad(&output[place])")
    .replace("atomicCompareExchangeWeak(address,", "atomicCompareExchangeWeak(&output[place],")
    .replace("atomic_add_f32(&output[output_index],", "atomic_add_f32(output_index,");
}

const wasm = Deno.args.includes("wasm");
const gpu = wasm ? undefined : watchGpu(scatterByIndex);
const backend = wasm ? "wasm" : "webgpu";
if (!(await init(backend)).includes(backend)) throw new Error(`jax-js has no ${backend} backend here`);
defaultDevice(backend);

type Arrays = (...operands: np.Array[]) => np.Array | np.Array[];

function kernelOf(one: MatmulCase | RowsCase | AttentionCase): { fn: Arrays; shapes: number[][] } {
  switch (one.kind) {
    case "matmul": {
      const { form, rows, depth, cols } = one;
      const [a, b] = [
        form === "TN" ? [depth, rows] : [rows, depth],
        form === "NT" ? [cols, depth] : [depth, cols],
      ];
      return {
        fn: (x, y) => np.matmul(form === "TN" ? x.transpose() : x, form === "NT" ? y.transpose() : y),
        shapes: [a, b],
      };
    }
    case "softmax":
      return { fn: (x) => nn.softmax(x, -1), shapes: [[one.rows, one.cols]] };
    case "layernorm":
      return { fn: layerNorm, shapes: [[one.rows, one.cols], [one.cols], [one.cols]] };
    case "layernorm-grad":
      return {
        fn: (x, gamma, beta, dy) =>
          grad((x: np.Array, gamma: np.Array, beta: np.Array) => layerNorm(x, gamma, beta).mul(dy).sum(), {
            argnums: [0, 1, 2],
          })(x, gamma, beta) as np.Array[],
        shapes: [[one.rows, one.cols], [one.cols], [one.cols], [one.rows, one.cols]],
      };
    case "attention": {
      const shape = [one.batch, one.context, one.heads, one.headWidth];
      return {
        fn: (q, k, v) => nn.dotProductAttention(q, k, v, { isCausal: true }),
        shapes: [shape, shape, shape],
      };
    }
  }
}

function layerNorm(x: np.Array, gamma: np.Array, beta: np.Array): np.Array {
  return nn.standardize(x, -1, { epsilon: EPSILON }).mul(gamma).add(beta);
}

const library: Library = {
  peer: wasm ? "jax-wasm" : "jax",
  backend,
  version: VERSION,
  gpu,
  kernel(one, inputs): Kernel {
    const { fn, shapes } = kernelOf(one);
    const compiled = jit(fn) as (...operands: np.Array[]) => np.Array | np.Array[];
    const operands = shapes.map((shape, i) => np.array(inputs[i], { shape }));
    const call = () => [compiled(...operands.map((operand) => operand.ref))].flat();
    return {
      async run() {
        for (const output of call()) await submit(output);
      },
      async read() {
        return await Promise.all(call().map(async (output) => await output.data() as Float32Array));
      },
    };
  },
  training: trainingOf,
  async idle() {
    return gpu ? await gpu.idle() : performance.now();
  },
};

await runPeer(library, Deno.args);
// The WebAssembly workers would keep the process alive.
Deno.exit(0);
