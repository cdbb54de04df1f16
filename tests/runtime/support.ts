/**
 * Programs written by hand, for tests of the runtime alone.
 *
 * @module
 */
import type { Dispatch, KernelSource, Program } from "../../compiler/program.ts";
import { type GpuDevice, openDevice } from "../../runtime/mod.ts";

/** Elements of every tensor in {@link counter}. */
export const ELEMENTS = 8;
const BYTES = ELEMENTS * 4;

const COUNT_WGSL = `
@group(0) @binding(0) var<storage, read_write> total: array<f32, ${ELEMENTS}>;
@group(0) @binding(1) var<storage, read> x: array<f32, ${ELEMENTS}>;
@group(0) @binding(2) var<uniform> scalars: vec4<f32>;
@compute @workgroup_size(${ELEMENTS}) fn count(@builtin(local_invocation_index) i: u32) {
  total[i] = total[i] + scalars.x * x[i];
}`;

const SUM_WGSL = `
@group(0) @binding(0) var<storage, read> total: array<f32, ${ELEMENTS}>;
@group(0) @binding(1) var<storage, read_write> sum: f32;
@compute @workgroup_size(1) fn add_up() {
  var result = 0.0;
  for (var i = 0u; i < ${ELEMENTS}u; i++) { result += total[i]; }
  sum = result;
}`;

/** A kernel with everything filled in that a test does not care about. */
export function kernel(name: string, wgsl: string, bindings: KernelSource["bindings"]): KernelSource {
  return { name, wgsl, bindings, workgroupSize: [1, 1, 1], ir: "", loopIterations: 1, workgroupBytes: 0 };
}

/** A program with everything filled in that a test does not care about. */
export function programOf(parts: Partial<Program>): Program {
  return {
    name: "test",
    hash: "0",
    kernels: [],
    dispatches: [],
    buffers: [],
    inputs: [],
    outputs: [],
    scalars: [],
    memory: { peakBytes: 0, lowerBoundBytes: 0, naiveBytes: 0 },
    compileMs: {},
    ...parts,
  };
}

/** A dispatch of one workgroup over whole buffers. */
export function dispatch(kernel: number, buffers: readonly number[], sizes: readonly number[]): Dispatch {
  const ranges = buffers.map((buffer, i) => ({ buffer, offset: 0, size: sizes[i] }));
  return { kernel, ranges, workgroups: [1, 1, 1], group: kernel, bytes: 0, flops: 0 };
}

/** `total += scale * x` on a state, which it donates to the output `total`; the output `sum` adds it up. */
export function counter(parts: Partial<Program> = {}): Program {
  return programOf({
    name: "counter",
    kernels: [
      { ...kernel("count", COUNT_WGSL, ["read_write", "read", "uniform"]), workgroupSize: [ELEMENTS, 1, 1] },
      kernel("add_up", SUM_WGSL, ["read", "read_write"]),
    ],
    dispatches: [dispatch(0, [0, 1, 2], [BYTES, BYTES, 16]), dispatch(1, [0, 3], [BYTES, 4])],
    buffers: [
      { kind: "state", name: "total", bytes: BYTES },
      { kind: "batch", name: "x", bytes: BYTES },
      { kind: "scalars", name: "scalars", bytes: 16 },
      { kind: "output", name: "sum", bytes: 16 },
    ],
    inputs: [
      { name: "total", shape: [ELEMENTS], dtype: "f32", range: { buffer: 0, offset: 0, size: BYTES } },
      { name: "x", shape: [ELEMENTS], dtype: "f32", range: { buffer: 1, offset: 0, size: BYTES } },
    ],
    outputs: [
      { name: "total", shape: [ELEMENTS], dtype: "f32", range: { buffer: 0, offset: 0, size: BYTES } },
      { name: "sum", shape: [], dtype: "f32", range: { buffer: 3, offset: 0, size: 4 } },
    ],
    scalars: [{ name: "scale", dtype: "f32", offset: 0 }],
    ...parts,
  });
}

/** Runs `body` with a device of its own, and gives the device back. */
export async function withDevice(body: (device: GpuDevice) => Promise<void>): Promise<void> {
  const device = await openDevice();
  try {
    await body(device);
  } finally {
    device.destroy();
  }
}

/** `[1, 2, ..., 8]` */
export const ONE_TO_EIGHT: Float32Array<ArrayBuffer> = Float32Array.from(
  { length: ELEMENTS },
  (_, i) => i + 1,
);
