/**
 * Runs emitted matmul kernels on the adapter over plain f32 buffers, with guard elements around every operand and the
 * result, for the template's tests and its bench.
 *
 * @module
 */
import { type Capabilities, LAVAPIPE } from "../../compiler/capabilities.ts";
import { prepareEnvironment } from "../../runtime/environment.ts";
import { emitMatmul, type MatmulSchedule } from "../../compiler/wgsl/matmul.ts";
import { assembleModule } from "../../compiler/wgsl/module.ts";
import type { MatmulShape, TileHooks, TileKernel } from "../../compiler/wgsl/tile.ts";
import type { Writer } from "../../compiler/wgsl/writer.ts";

/** Elements before and after an operand or the result, as many as keep vec4s aligned. */
export const GUARD = 64;
prepareEnvironment();
const adapter = await navigator.gpu?.requestAdapter();

/** lavapipe with as many lanes as it has here: 8 or, where the processor has 512-bit vectors, 16. */
export const SOFTWARE: Capabilities = {
  ...LAVAPIPE,
  subgroupSize: adapter?.info.subgroupMinSize ?? LAVAPIPE.subgroupSize,
};

/** What guards of the result hold before the run and must hold after it. */
export const POISON = 12_345;

/** The four layouts by the letters BLAS uses: whether A and B are stored transposed. */
export const LAYOUTS = ["NN", "NT", "TN", "TT"] as const;

/** A shape from sizes and a layout. */
export function matmulShape(
  layout: (typeof LAYOUTS)[number],
  rows: number,
  cols: number,
  depth: number,
  batch = 1,
): MatmulShape {
  return {
    batch,
    rows,
    cols,
    depth,
    aContiguous: layout[0] === "N" ? "depth" : "rows",
    bContiguous: layout[1] === "T" ? "depth" : "cols",
  };
}

/** A tensor [batch, outer, inner] in a flat array that starts with `GUARD` elements; vec4s when `inner` allows them. */
class PlainTensor {
  constructor(readonly binding: string, readonly outer: number, readonly inner: number) {}

  get vectors(): boolean {
    return this.inner % 4 === 0;
  }

  declaration(access: string): string {
    return `var<storage, ${access}> ${this.binding}: array<${this.vectors ? "vec4<f32>" : "f32"}>`;
  }

  #index(batch: string, outer: string, inner: string): string {
    const row = `((${batch}) * ${this.outer}u + (${outer}))`;
    return this.vectors
      ? `${row} * ${this.inner / 4}u + (${inner}) / 4u + ${GUARD / 4}u`
      : `${row} * ${this.inner}u + (${inner}) + ${GUARD}u`;
  }

  load(batch: string, outer: string, inner: string): string {
    const index = this.#index(batch, outer, inner);
    if (this.vectors) return `${this.binding}[${index}]`;
    return `vec4(${[0, 1, 2, 3].map((i) => `${this.binding}[${index} + ${i}u]`).join(", ")})`;
  }

  loadScalar(batch: string, outer: string, inner: string): string {
    const row = `((${batch}) * ${this.outer}u + (${outer}))`;
    const index = `(${row} * ${this.inner}u + (${inner}) + ${GUARD}u)`;
    return this.vectors ? `${this.binding}[${index} / 4u][${index} % 4u]` : `${this.binding}[${index}]`;
  }

  store(batch: string, outer: string, inner: string, value: string): string[] {
    const index = this.#index(batch, outer, inner);
    if (this.vectors) return [`${this.binding}[${index}] = ${value};`];
    return ["x", "y", "z", "w"].map((component, i) =>
      `if ((${inner}) + ${i}u < ${this.inner}u) { ${this.binding}[${index} + ${i}u] = ${value}.${component}; }`
    );
  }
}

/** What an emitted product is, and how often it asked for each operand. */
export interface PlainMatmul {
  readonly wgsl: string;
  readonly kernel: TileKernel;
  /** Loads of A and of B in the text. */
  readonly loads: { readonly a: number; readonly b: number };
}

/**
 * The module of a plain product over bindings `aData`, `bData`, `cData`. With `faults`, a fourth binding of one `u32`
 * becomes 1 when a position that reaches a hook starts outside the shape.
 */
export function plainMatmul(
  shape: MatmulShape,
  schedule: MatmulSchedule,
  target: Capabilities = SOFTWARE,
  faults = false,
): PlainMatmul {
  const { rows, cols, depth } = shape;
  const a = shape.aContiguous === "depth"
    ? new PlainTensor("aData", rows, depth)
    : new PlainTensor("aData", depth, rows);
  const b = shape.bContiguous === "depth"
    ? new PlainTensor("bData", cols, depth)
    : new PlainTensor("bData", depth, cols);
  const c = new PlainTensor("cData", rows, cols);
  const loads = { a: 0, b: 0 };
  const inside = (w: Writer, limits: readonly (readonly [string, number])[]) => {
    if (!faults) return;
    const outside = limits.map(([index, limit]) => `(${index}) >= ${limit}u`).join(" || ");
    w.line(`if (${outside}) { faults[0] = 1u; }`);
  };
  const hooks: TileHooks = {
    loadA: (w, at) => {
      loads.a++;
      inside(w, [[at.batch, shape.batch], [at.row, rows], [at.depth, depth]]);
      return shape.aContiguous === "depth"
        ? a.load(at.batch, at.row, at.depth)
        : a.load(at.batch, at.depth, at.row);
    },
    loadScalarA: (w, at) => {
      inside(w, [[at.batch, shape.batch], [at.row, rows], [at.depth, depth]]);
      return shape.aContiguous === "depth"
        ? a.loadScalar(at.batch, at.row, at.depth)
        : a.loadScalar(at.batch, at.depth, at.row);
    },
    loadB: (w, at) => {
      loads.b++;
      inside(w, [[at.batch, shape.batch], [at.col, cols], [at.depth, depth]]);
      return shape.bContiguous === "depth"
        ? b.load(at.batch, at.col, at.depth)
        : b.load(at.batch, at.depth, at.col);
    },
    store: (w, at, value) => {
      inside(w, [[at.batch, shape.batch], [at.row, rows], [at.col, cols]]);
      c.store(at.batch, at.row, at.col, value).forEach((line) => w.line(line));
    },
  };
  const kernel = emitMatmul(shape, schedule, hooks, target);
  const wgsl = assembleModule({
    name: "matmul",
    about: [],
    bindings: [
      a.declaration("read"),
      b.declaration("read"),
      c.declaration("read_write"),
      ...(faults ? ["var<storage, read_write> faults: array<u32>"] : []),
    ],
    declarations: kernel.declarations,
    body: kernel.body,
    workgroupSize: kernel.workgroupSize,
  });
  return { wgsl, kernel, loads };
}

/** A device with the adapter's own limits and the features that the template may use, or undefined without adapter. */
export async function openTestDevice(): Promise<GPUDevice | undefined> {
  if (!adapter) return undefined;
  const { limits } = adapter;
  return await adapter.requestDevice({
    requiredFeatures: ["subgroups" as GPUFeatureName],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    },
  });
}

/** Records one dispatch of a module over its buffers. */
export function dispatcher(
  device: GPUDevice,
  wgsl: string,
  workgroups: readonly [number, number, number],
  buffers: readonly GPUBuffer[],
): (pass: GPUComputePassEncoder) => void {
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: wgsl }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
  };
}
