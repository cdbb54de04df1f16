/**
 * A finished program: kernels, buffers and dispatches as plain data. It holds no GPU handle, so it can be printed,
 * hashed, sent to a Worker or compared; the runtime turns it into pipelines and bind groups.
 *
 * @module
 */
import type { DType } from "./dtype.ts";
import type { Shape } from "./graph.ts";
import type { Schedule } from "./wgsl/template.ts";

/** What a tuner knows a kernel by, and the schedule that the kernel got. */
export interface KernelTemplate {
  /** Equal for kernels that do the same: template, sizes, layouts, and a hash of the Kernel IR with its dtypes. */
  readonly key: string;
  /** The schedule that it got. */
  readonly schedule: Schedule;
  /** The same in words. */
  readonly scheduleName: string;
  /** True when it is not the one that the template would choose. */
  readonly tuned: boolean;
}

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
  /** For a kernel that could be cut in other ways. */
  readonly template?: KernelTemplate;
}

/** A range of a buffer; offset and size in bytes. */
export interface BufferRange {
  /** Index into `Program.buffers`. */
  readonly buffer: number;
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly size: number;
}

/** One kernel launch. */
export interface Dispatch {
  /** Index into `Program.kernels`. */
  readonly kernel: number;
  /** One range for each of the kernel's bindings. */
  readonly ranges: readonly BufferRange[];
  /** Workgroups in each dimension. */
  readonly workgroups: readonly [number, number, number];
  /** Index of the fusion group that it belongs to. */
  readonly group: number;
  /** Bytes read plus written, and floating-point operations: for profiles and rooflines. */
  readonly bytes: number;
  /** Floating-point operations. */
  readonly flops: number;
}

/**
 * A buffer of the program. `state` and `batch` buffers are known by name (the runtime shares state buffers between
 * programs), `scalars` is the uniform buffer, `arena` holds intermediate values, `output` what the host may read.
 */
export interface BufferPlan {
  /** What the buffer is for. */
  readonly kind: "state" | "batch" | "scalars" | "arena" | "output";
  /** Name of the state input, batch input or output. */
  readonly name: string;
  /** Size in bytes. */
  readonly bytes: number;
}

/** An input or output as the caller sees it. */
export interface ProgramTensor {
  /** Name of the tensor. */
  readonly name: string;
  /** Sizes of its axes. */
  readonly shape: Shape;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Where it lies. */
  readonly range: BufferRange;
}

/** A scalar input and its byte offset in the `scalars` buffer. */
export interface ProgramScalar {
  /** Name of the scalar. */
  readonly name: string;
  /** Its type. */
  readonly dtype: DType;
  /** Its byte offset. */
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

/** A value of the forward pass that the backward pass reads: kept for it, or computed again. */
export interface KeptValue {
  /** Its node in the simplified graph. */
  readonly node: number;
  /** What computes it. */
  readonly op: string;
  /** The module that it belongs to. */
  readonly scope: string;
  /** Sizes of its axes. */
  readonly shape: Shape;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Its size. */
  readonly bytes: number;
  /** The price of computing it a second time from what is in memory, its traffic included. */
  readonly multiplyAdds: number;
}

/** How a program was fitted into a budget of memory. */
export interface Recomputation {
  /** The budget. */
  readonly budgetBytes: number;
  /** Peak of the plan that recomputes nothing. */
  readonly unlimitedPeakBytes: number;
  /** Values that pass through memory a second time, computed again for the backward pass. */
  readonly recomputed: readonly KeptValue[];
  /** Values that stay in intermediate memory for the backward pass. */
  readonly kept: readonly KeptValue[];
  /** Arithmetic of all that is computed again. */
  readonly multiplyAdds: number;
  /** The same as a share of the arithmetic of the program without it. */
  readonly share: number;
}

/** A compiled program. */
export interface Program {
  /** Name in messages and listings. */
  readonly name: string;
  /** Hash of graph, mode and capabilities: equal hashes mean equal programs. */
  readonly hash: string;
  /** Kernels, each text once. */
  readonly kernels: readonly KernelSource[];
  /** Launches in execution order. */
  readonly dispatches: readonly Dispatch[];
  /** Buffers that it needs. */
  readonly buffers: readonly BufferPlan[];
  /** State and batch inputs. */
  readonly inputs: readonly ProgramTensor[];
  /** Results. */
  readonly outputs: readonly ProgramTensor[];
  /** Scalar inputs. */
  readonly scalars: readonly ProgramScalar[];
  /** What it holds in memory. */
  readonly memory: MemoryPlan;
  /** How it was fitted into a budget; absent where none was given. */
  readonly recomputation?: Recomputation;
  /** Milliseconds that each compiler stage took. */
  readonly compileMs: Readonly<Record<string, number>>;
}
