/**
 * Single operations through the whole compiler: products in the three transpose forms, layerNorm with its gradients,
 * softmax and attention. The same work as the peers do, so that they can stand side by side.
 *
 * @module
 */
import {
  attention,
  compileGraph,
  compileStages,
  type DType,
  grad,
  type Graph,
  randomUniform,
  type Tensor,
  trace,
} from "../compiler/mod.ts";
import { type GpuDevice, type LoadedProgram, type StateStore, tune, TuningCache } from "../runtime/mod.ts";
import { chainFor, timeOnce } from "./measure.ts";
import { EPSILON, type MatmulCase, type PeerCase, type StepCase } from "./peers/cases.ts";

/** An operation that the peers do as well. */
export type OperationCase = Exclude<PeerCase, StepCase>;

/** A product in an element type; GPUs are asked for larger ones than the peers are given. */
export type Product = MatmulCase & { readonly dtype?: DType };

/** GPT-2's products for 16 sequences of 1024 tokens, in a GPU's two types: forward, dX, dW, and a chunk of the head. */
export const GPU_PRODUCTS: readonly Product[] = (["f32", "f16"] as const).flatMap((dtype) =>
  ([
    ["NN", 4096, 4096, 4096],
    ["NT", 4096, 4096, 4096],
    ["TN", 4096, 4096, 4096],
    ["NN", 16_384, 768, 3072],
    [
      "NT",
      16_384,
      3072,
      768,
    ],
    ["TN", 768, 16_384, 3072],
    ["NT", 2048, 768, 50_304],
  ] as const).map(([form, rows, depth, cols]) => ({
    kind: "matmul" as const,
    name: `matmul-${form}-${rows}x${depth}x${cols}${dtype === "f16" ? "-f16" : ""}`,
    form,
    rows,
    depth,
    cols,
    dtype,
  }))
);

/** Operations of a product. */
export function flopsOf({ rows, depth, cols }: MatmulCase): number {
  return 2 * rows * depth * cols;
}

type Shapes = Readonly<Record<string, readonly number[]>>;

function definitionOf(
  one: OperationCase,
): { shapes: Shapes; fn: (x: Record<string, Tensor>) => Record<string, Tensor> } {
  switch (one.kind) {
    case "matmul": {
      const { form, rows, depth, cols } = one;
      const [transA, transB] = [form === "TN", form === "NT"];
      return {
        shapes: { a: transA ? [depth, rows] : [rows, depth], b: transB ? [cols, depth] : [depth, cols] },
        fn: ({ a, b }) => ({ y: a.matmul(b, { transA, transB }) }),
      };
    }
    case "softmax":
      return { shapes: { x: [one.rows, one.cols] }, fn: ({ x }) => ({ y: x.softmax() }) };
    case "layernorm":
      return {
        shapes: { x: [one.rows, one.cols], gamma: [one.cols], beta: [one.cols] },
        fn: ({ x, gamma, beta }) => ({ y: x.layerNorm(gamma, beta, EPSILON) }),
      };
    case "layernorm-grad":
      return {
        shapes: { x: [one.rows, one.cols], gamma: [one.cols], beta: [one.cols], dy: [one.rows, one.cols] },
        fn: ({ x, gamma, beta, dy }) => {
          const [dx, dGamma, dBeta] = grad(x.layerNorm(gamma, beta, EPSILON).mul(dy).sum(), [x, gamma, beta]);
          return { dx, dGamma, dBeta };
        },
      };
    case "attention": {
      const shape = [one.batch, one.context, one.heads, one.headWidth];
      const swap = (x: Tensor) => x.transpose([0, 2, 1, 3]);
      return {
        shapes: { q: shape, k: shape, v: shape },
        fn: ({ q, k, v }) => ({ y: swap(attention(swap(q), swap(k), swap(v), { causal: true })) }),
      };
    }
  }
}

/** The operation as a graph over state tensors, and one that fills them with numbers in [-1/2, 1/2). */
function graphsOf(one: OperationCase, dtype: DType): { fill: Graph; graph: Graph } {
  const { shapes, fn } = definitionOf(one);
  const names = Object.keys(shapes);
  const specs = Object.fromEntries(
    names.map((name) => [name, { shape: shapes[name], dtype, role: "state" } as const]),
  );
  const fill = trace(
    ({ key }) =>
      Object.fromEntries(
        names.map((name, i) => [name, randomUniform(key, shapes[name], i).sub(0.5).cast(dtype)]),
      ),
    { ...specs, key: { shape: [], dtype: "u32", role: "scalar" } as const },
    { donates: Object.fromEntries(names.map((name) => [name, name])) },
  );
  return { fill, graph: trace(fn, specs) };
}

/** Milliseconds that the tuner may take for an operation, which has a kernel or two. */
const TUNE_MS = 2000;

/** An operation that is loaded and can be timed. */
export class Operation {
  readonly #device: GpuDevice;
  readonly #states: StateStore;
  readonly #loaded: LoadedProgram;
  #chain = 1;

  private constructor(device: GpuDevice, states: StateStore, loaded: LoadedProgram) {
    this.#device = device;
    this.#states = states;
    this.#loaded = loaded;
  }

  /**
   * Compiles it with schedules tuned for it, fills its operands and runs it once.
   *
   * @throws {LimitError} {@link GpuError} when there is no room.
   */
  static async load(device: GpuDevice, one: OperationCase | Product): Promise<Operation> {
    const { fill, graph } = graphsOf(one, "dtype" in one ? one.dtype ?? "f32" : "f32");
    const states = device.createStates();
    try {
      const init = await device.load(compileGraph(fill, device.capabilities, { name: "fill" }), states);
      init.run({ scalars: { key: 1 } });
      await device.idle();
      init.destroy();
      const cache = TuningCache.inMemory();
      const compilation = compileStages(graph, device.capabilities, { name: one.kind });
      await tune(device, [{ compilation, runs: 1 }], { cache, budgetMs: TUNE_MS });
      const program = compileGraph(graph, device.capabilities, { name: one.kind, schedules: cache.lookup });
      const operation = new Operation(device, states, await device.load(program, states));
      await operation.time();
      operation.#chain = chainFor(await operation.time());
      return operation;
    } catch (error) {
      states.destroy();
      throw error;
    }
  }

  /** Launches of one run. */
  get dispatches(): number {
    return this.#loaded.program.dispatches.length;
  }

  /** Bytes read and written by them, as the compiler counts. */
  get bytesMoved(): number {
    return this.#loaded.program.dispatches.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Milliseconds of one run, over as many in a row as make a tenth of a second. */
  async time(): Promise<number> {
    return await timeOnce(this.#device, () => this.#loaded.run(), this.#chain);
  }

  /** Gives it all back. */
  destroy(): void {
    this.#loaded.destroy();
    this.#states.destroy();
  }
}
