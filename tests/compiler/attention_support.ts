/**
 * Runs emitted attention kernels on the adapter over plain f32 buffers, with guard elements around every operand and
 * result, for the templates' tests and their bench.
 *
 * @module
 */
import type { Capabilities } from "../../compiler/capabilities.ts";
import {
  type AttentionSchedule,
  emitAttentionForward,
  emitAttentionGradKV,
  emitAttentionGradQ,
} from "../../compiler/wgsl/attention.ts";
import type {
  AttentionHooks,
  AttentionKernel,
  AttentionKind,
  AttentionShape,
} from "../../compiler/wgsl/attention_tile.ts";
import { assembleModule } from "../../compiler/wgsl/module.ts";
import type { Writer } from "../../compiler/wgsl/writer.ts";
import { SOFTWARE } from "./matmul_support.ts";

/** Elements before and after an operand or a result, as many as keep vec4s aligned. */
export const GUARD = 64;

/** Tensors of attention by name: operands and results by channels, and one number a row. */
export type AttentionTensor = "q" | "k" | "v" | "g" | "o" | "dq" | "dk" | "dv" | "lse" | "delta";

/** Rows of a tensor for each problem. */
export function rowsOf(name: AttentionTensor, shape: AttentionShape): number {
  return ["k", "v", "dk", "dv"].includes(name) ? shape.keys : shape.queries;
}

function channelled(name: AttentionTensor): boolean {
  return name !== "lse" && name !== "delta";
}

/** Elements of a tensor, without guards. */
export function elementsOf(name: AttentionTensor, shape: AttentionShape): number {
  return shape.batch * rowsOf(name, shape) * (channelled(name) ? shape.width : 1);
}

/** What a kernel reads. */
export const READS: Record<AttentionKind, readonly AttentionTensor[]> = {
  forward: ["q", "k", "v"],
  gradQ: ["q", "k", "v", "g", "lse", "delta"],
  gradKV: ["q", "k", "v", "g", "lse", "delta"],
};

/** What a kernel can write. */
export const WRITES: Record<AttentionKind, readonly AttentionTensor[]> = {
  forward: ["o", "lse"],
  gradQ: ["dq"],
  gradKV: ["dk", "dv"],
};

/** An emitted kernel and the tensors that it binds, in binding order. */
export interface PlainAttention {
  readonly wgsl: string;
  readonly kernel: AttentionKernel;
  readonly reads: readonly AttentionTensor[];
  readonly writes: readonly AttentionTensor[];
}

/**
 * The module of a plain attention kernel over one buffer a tensor: those that it reads, then those that it writes. With
 * `faults`, the first guard of the first result becomes 0 when a position that reaches a hook starts outside its tensor.
 */
export function plainAttention(
  kind: AttentionKind,
  shape: AttentionShape,
  schedule: AttentionSchedule,
  options: {
    readonly target?: Capabilities;
    readonly results?: readonly AttentionTensor[];
    readonly faults?: boolean;
  } = {},
): PlainAttention {
  const { target = SOFTWARE, results = WRITES[kind], faults = false } = options;
  const { width } = shape;
  const vectors = width % 4 === 0;
  const used = new Set<AttentionTensor>();
  const index = (name: AttentionTensor, at: { batch: string; row: string }) =>
    `((${at.batch}) * ${rowsOf(name, shape)}u + (${at.row}))`;
  const channels = (name: AttentionTensor, at: { batch: string; row: string; col: string }) =>
    vectors
      ? `${index(name, at)} * ${width / 4}u + (${at.col}) / 4u + ${GUARD / 4}u`
      : `${index(name, at)} * ${width}u + (${at.col}) + ${GUARD}u`;
  const inside = (w: Writer, name: AttentionTensor, at: { batch: string; row: string; col?: string }) => {
    used.add(name);
    if (!faults) return;
    const outside = [
      `(${at.batch}) >= ${shape.batch}u`,
      `(${at.row}) >= ${rowsOf(name, shape)}u`,
      ...(at.col === undefined ? [] : [`(${at.col}) >= ${width}u`, `(${at.col}) % 4u != 0u`]),
    ];
    const value = channelled(results[0]) && vectors ? "vec4<f32>()" : "0.0";
    w.line(`if (${outside.join(" || ")}) { ${results[0]}Data[0] = ${value}; }`);
  };
  const hooks: AttentionHooks = {
    load: (w, operand, at) => {
      inside(w, operand, at);
      const first = channels(operand, at);
      if (vectors) return `${operand}Data[${first}]`;
      return `vec4(${[0, 1, 2, 3].map((i) => `${operand}Data[${first} + ${i}u]`).join(", ")})`;
    },
    loadRow: (w, operand, at) => {
      inside(w, operand, at);
      return `${operand}Data[${index(operand, at)} + ${GUARD}u]`;
    },
    store: (w, result, at, value) => {
      inside(w, result, at);
      const first = channels(result, at);
      if (vectors) w.line(`${result}Data[${first}] = ${value};`);
      else {
        const stored = w.let(value, "stored");
        ["x", "y", "z", "w"].forEach((component, i) => {
          w.line(
            `if ((${at.col}) + ${i}u < ${width}u) { ${result}Data[${first} + ${i}u] = ${stored}.${component}; }`,
          );
        });
      }
    },
    storeRow: (w, result, at, value) => {
      inside(w, result, at);
      w.line(`${result}Data[${index(result, at)} + ${GUARD}u] = ${value};`);
    },
  };
  const kernel = emit(kind, shape, schedule, hooks, target, results);
  const reads = READS[kind].filter((name) => used.has(name));
  const declare = (access: string) => (name: AttentionTensor) => {
    const element = vectors && channelled(name) ? "vec4<f32>" : "f32";
    return `var<storage, ${access}> ${name}Data: array<${element}>`;
  };
  const wgsl = assembleModule({
    name: "attention",
    about: [],
    bindings: [
      ...reads.map(declare("read")),
      ...results.map(declare("read_write")),
    ],
    declarations: kernel.declarations,
    body: kernel.body,
    workgroupSize: kernel.workgroupSize,
  });
  return { wgsl, kernel, reads, writes: results };
}

function emit(
  kind: AttentionKind,
  shape: AttentionShape,
  schedule: AttentionSchedule,
  hooks: AttentionHooks,
  target: Capabilities,
  results: readonly AttentionTensor[],
): AttentionKernel {
  const has = (name: AttentionTensor) => results.includes(name);
  switch (kind) {
    case "forward":
      return emitAttentionForward(shape, schedule, hooks, target, { o: has("o"), lse: has("lse") });
    case "gradQ":
      return emitAttentionGradQ(shape, schedule, hooks, target);
    case "gradKV":
      return emitAttentionGradKV(shape, schedule, hooks, target, { dk: has("dk"), dv: has("dv") });
  }
}

/** Float64 values of every tensor, and for each element the sum of absolute terms that rounding is measured by. */
export interface Reference {
  readonly value: Record<AttentionTensor, Float64Array>;
  readonly scale: Record<AttentionTensor, Float64Array>;
}

/** Attention and its gradients in float64, from q, k, v and the gradient of the output. */
export function referenceAttention(
  shape: AttentionShape,
  inputs: Record<"q" | "k" | "v" | "g", Float32Array>,
): Reference {
  const { batch, queries, keys, width, causal, scale } = shape;
  const make = () =>
    Object.fromEntries(
      (["q", "k", "v", "g", "o", "dq", "dk", "dv", "lse", "delta"] as const).map((name) => [
        name,
        new Float64Array(elementsOf(name, shape)),
      ]),
    ) as Record<AttentionTensor, Float64Array>;
  const [value, size] = [make(), make()];
  for (const name of ["q", "k", "v", "g"] as const) value[name].set(inputs[name]);
  const { q, k, v, g } = value;
  const dot = (a: Float64Array, i: number, b: Float64Array, j: number, absolute = false) => {
    let sum = 0;
    for (let c = 0; c < width; c++) {
      const term = a[i * width + c] * b[j * width + c];
      sum += absolute ? Math.abs(term) : term;
    }
    return sum;
  };
  const add = (
    name: AttentionTensor,
    i: number,
    factor: number,
    b: Float64Array,
    j: number,
    slack: number,
  ) => {
    for (let c = 0; c < width; c++) {
      const other = b[j * width + c];
      value[name][i * width + c] += factor * other;
      size[name][i * width + c] += slack * Math.abs(other);
    }
  };
  const p = new Float64Array(keys);
  const noise = new Float64Array(keys);
  for (let z = 0; z < batch; z++) {
    for (let row = 0; row < queries; row++) {
      const i = z * queries + row;
      const seen = causal ? Math.min(row + 1, keys) : keys;
      let top = -Infinity;
      for (let j = 0; j < seen; j++) {
        p[j] = scale * dot(q, i, k, z * keys + j);
        // A score's rounding error is a relative error of its probability.
        noise[j] = 1 + Math.abs(scale) * dot(q, i, k, z * keys + j, true);
        top = Math.max(top, p[j]);
      }
      let sum = 0;
      for (let j = 0; j < seen; j++) sum += Math.exp(p[j] - top);
      value.lse[i] = top + Math.log(sum);
      for (let j = 0; j < seen; j++) {
        p[j] = Math.exp(p[j] - value.lse[i]);
        size.lse[i] += p[j] * noise[j];
        add("o", i, p[j], v, z * keys + j, p[j] * noise[j]);
      }
      size.lse[i] += Math.abs(value.lse[i]);
      for (let c = 0; c < width; c++) value.delta[i] += value.o[i * width + c] * g[i * width + c];
      for (let j = 0; j < seen; j++) {
        const at = z * keys + j;
        const ds = scale * p[j] * (dot(g, i, v, at) - value.delta[i]);
        const slack = Math.abs(scale) * p[j] * noise[j] *
          (dot(g, i, v, at, true) + Math.abs(value.delta[i]));
        add("dq", i, ds, k, at, slack);
        add("dk", at, ds, q, i, slack);
        add("dv", at, p[j], g, i, p[j] * noise[j]);
      }
    }
  }
  return { value, scale: size };
}
