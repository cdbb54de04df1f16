/**
 * TensorFlow.js on its WebGPU backend as a peer.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
// For its side effect: the core package leaves its gradients out of what Deno can import, this one registers them.
import "@tensorflow/tfjs-layers";
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { AttentionCase, MatmulCase, RowsCase } from "../cases.ts";
import { watchGpu } from "../instrument.ts";
import { type Kernel, type Library, runPeer } from "../runner.ts";
import { attention, layerNorm, trainingOf } from "./gpt2_tfjs.ts";

// Before the backend asks for its device.
const gpu = watchGpu();
await import("@tensorflow/tfjs-backend-webgpu");
if (!await tf.setBackend("webgpu")) throw new Error("TensorFlow.js has no webgpu backend here");
await tf.ready();

type Tensors = (operands: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

function kernelOf(one: MatmulCase | RowsCase | AttentionCase): { fn: Tensors; shapes: number[][] } {
  switch (one.kind) {
    case "matmul": {
      const { form, rows, depth, cols } = one;
      const [a, b] = [
        form === "TN" ? [depth, rows] : [rows, depth],
        form === "NT" ? [cols, depth] : [depth, cols],
      ];
      return { fn: ([x, y]) => tf.matMul(x, y, form === "TN", form === "NT"), shapes: [a, b] };
    }
    case "softmax":
      return { fn: ([x]) => tf.softmax(x), shapes: [[one.rows, one.cols]] };
    case "layernorm":
      return {
        fn: ([x, gamma, beta]) => layerNorm(x, { gamma, beta }),
        shapes: [[one.rows, one.cols], [one.cols], [one.cols]],
      };
    case "layernorm-grad": {
      const gradients = tf.grads((x, gamma, beta) => layerNorm(x, { gamma, beta }));
      return {
        fn: ([x, gamma, beta, dy]) => gradients([x, gamma, beta], dy),
        shapes: [[one.rows, one.cols], [one.cols], [one.cols], [one.rows, one.cols]],
      };
    }
    case "attention": {
      const { batch, context, heads, headWidth } = one;
      const shape = [batch, context, heads, headWidth];
      const mask = tf.tidy(() =>
        tf.mul(tf.sub(tf.linalg.bandPart(tf.ones([context, context]), -1, 0), 1), 1e30)
      );
      const swap = (x: tf.Tensor) => tf.transpose(x, [0, 2, 1, 3]);
      return {
        fn: ([q, k, v]) => swap(attention(swap(q), swap(k), swap(v), mask)),
        shapes: [shape, shape, shape],
      };
    }
  }
}

const library: Library = {
  peer: "tfjs",
  backend: "webgpu",
  version: tf.version_core,
  gpu,
  kernel(one, inputs): Kernel {
    const { fn, shapes } = kernelOf(one);
    const operands = shapes.map((shape, i) => tf.tensor(inputs[i], shape));
    const call = () => [tf.tidy(() => fn(operands))].flat();
    return {
      run() {
        for (const output of call()) output.dispose();
      },
      async read() {
        const outputs = call();
        const values = await Promise.all(outputs.map(async (output) => await output.data() as Float32Array));
        tf.dispose(outputs);
        return values;
      },
    };
  },
  training: trainingOf,
  async idle() {
    // The backend holds commands back until fifteen have gathered or somebody reads.
    const backend = tf.backend() as WebGPUBackend;
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue();
    return await gpu.idle();
  },
};

await runPeer(library, Deno.args);
Deno.exit(0);
