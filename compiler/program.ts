/**
 * A finished program: kernels, buffers and dispatches as plain data. It holds no GPU handle, so it can be printed,
 * hashed, sent to a Worker or compared; the runtime turns it into pipelines and bind groups.
 *
 * @module
 */
import type { DType } from "./dtype.ts";
import type { Shape } from "./graph.ts";

/** A compute kernel as text. Binding `i` of group 0 is `bindings[i]`; dispatches supply the ranges. */
export interface KernelSource {
  /** Unique within the program, such as `row_17_layerNorm`. Also the WGSL entry point's name. */
  readonly name: string;
  /** The whole WGSL module. */
  readonly wgsl: string;
  /** What each binding of group 0 is. */
  readonly bindings: readonly ("read" | "read_write" | "uniform")[];
  /** Invocations of a workgroup, per dimension. */
  readonly workgroupSize: readonly [number, number, number];
  /** Kernel IR as text, for people. */
  readonly ir: string;
  /** Loop iterations of one invocation, statically bounded. */
  readonly loopIterations: number;
  /** Workgroup memory in bytes. */
  readonly workgroupBytes: number;
}

/** A range of a buffer; offset and size in bytes. */
export interface BufferRange {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

/** One kernel launch. */
export interface Dispatch {
  /** Index into `Program.kernels`. */
  readonly kernel: number;
  /** One range for each of the kernel's bindings. */
  readonly ranges: readonly BufferRange[];
  readonly workgroups: readonly [number, number, number];
  /** Index of the fusion group that it belongs to. */
  readonly group: number;
  /** Bytes read plus written, and floating-point operations: for profiles and rooflines. */
  readonly bytes: number;
  readonly flops: number;
}

/**
 * A buffer of the program. `state` and `batch` buffers are known by name (the runtime shares state buffers between
 * programs), `scalars` is the uniform buffer, `arena` holds intermediate values, `output` what the host may read.
 */
export interface BufferPlan {
  readonly kind: "state" | "batch" | "scalars" | "arena" | "output";
  /** Name of the state input, batch input or output. */
  readonly name: string;
  readonly bytes: number;
}

/** An input or output as the caller sees it. */
export interface ProgramTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly range: BufferRange;
}

/** A scalar input and its byte offset in the `scalars` buffer. */
export interface ProgramScalar {
  readonly name: string;
  readonly dtype: DType;
  readonly offset: number;
}

/** What the memory plan promises, in bytes. */
export interface MemoryPlan {
  /** Everything that the program holds at once: state, batch, outputs and arena. */
  readonly peakBytes: number;
  /** State, batch and output bytes plus the largest sum of intermediate values that are alive at one dispatch. */
  readonly lowerBoundBytes: number;
  /** Intermediate values without any reuse, plus state, batch and outputs. */
  readonly naiveBytes: number;
}

/** A compiled program. */
export interface Program {
  readonly name: string;
  /** Hash of graph, mode and capabilities: equal hashes mean equal programs. */
  readonly hash: string;
  readonly kernels: readonly KernelSource[];
  readonly dispatches: readonly Dispatch[];
  readonly buffers: readonly BufferPlan[];
  readonly inputs: readonly ProgramTensor[];
  readonly outputs: readonly ProgramTensor[];
  readonly scalars: readonly ProgramScalar[];
  readonly memory: MemoryPlan;
  /** Milliseconds that each compiler stage took. */
  readonly compileMs: Readonly<Record<string, number>>;
}
