/**
 * Products through the whole compiler: the user's three transpose forms, 512 cubed and GPT-2's shapes.
 *
 * @module
 */
import { compileGraph, trace } from "../compiler/mod.ts";
import type { GpuDevice } from "../runtime/mod.ts";
import { type Spread, timeQueued } from "./measure.ts";

/** Which operand is stored transposed: [M,K]x[K,N], x[N,K], or [K,M]x. */
export type Form = "NN" | "NT" | "TN";

/** One product. */
export interface MatmulCase {
  readonly form: Form;
  readonly rows: number;
  readonly depth: number;
  readonly cols: number;
}

/** Time and speed of one product. */
export interface MatmulResult extends MatmulCase {
  readonly ms: Spread;
  /** 2·M·N·K floating-point operations over the median time. */
  readonly gflops: number;
}

/** The products that are always measured. */
export const MATMUL_CASES: readonly MatmulCase[] = [
  ...(["NN", "NT", "TN"] as const).map((form) => ({ form, rows: 512, depth: 512, cols: 512 })),
  { form: "NN", rows: 512, depth: 768, cols: 3072 },
  { form: "NT", rows: 512, depth: 3072, cols: 768 },
  { form: "TN", rows: 768, depth: 512, cols: 3072 },
];

/** Measures one product: ten in one chain, so that neither launch nor wait counts. */
export async function benchMatmul(device: GpuDevice, shape: MatmulCase): Promise<MatmulResult> {
  const { form, rows, depth, cols } = shape;
  const [transA, transB] = [form === "TN", form === "NT"];
  const graph = trace(({ a, b }) => ({ c: a.matmul(b, { transA, transB }) }), {
    a: { shape: transA ? [depth, rows] : [rows, depth], dtype: "f32", role: "state" },
    b: { shape: transB ? [cols, depth] : [depth, cols], dtype: "f32", role: "state" },
  });
  const states = device.createStates();
  const loaded = await device.load(
    compileGraph(graph, device.capabilities, { name: `matmul${form}` }),
    states,
  );
  fill(states, "a", rows * depth);
  fill(states, "b", depth * cols);
  loaded.run();
  const ms = await timeQueued(device, () => loaded.run(), { chain: 10, repeats: 7 });
  loaded.destroy();
  states.destroy();
  return { ...shape, ms, gflops: 2 * rows * depth * cols / ms.median / 1e6 };
}

function fill(
  states: { write(name: string, at: number, data: Float32Array): void },
  name: string,
  size: number,
): void {
  states.write(name, 0, Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 2003) / 1001.5 - 1));
}
