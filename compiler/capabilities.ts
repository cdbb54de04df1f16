/**
 * What the target can do: the alphabet of the generated WGSL and the sizes that the planner must respect. One record,
 * filled by the runtime from the adapter and passed to every stage that needs it, so that no stage asks a device.
 *
 * @module
 */

/** Facts about the device that a program is compiled for. Sizes are in bytes. */
export interface Capabilities {
  /** True for an adapter that runs on the CPU (lavapipe, SwiftShader): it wants other schedules than a GPU. */
  readonly software: boolean;
  /** Lanes of a subgroup when subgroup operations may be used, otherwise 0. */
  readonly subgroupSize: number;
  /** `shader-f16` was granted. */
  readonly f16: boolean;
  /** Storage buffers that one kernel may bind. */
  readonly maxStorageBuffers: number;
  /** Largest range that one storage binding may cover. */
  readonly maxBindingBytes: number;
  /** Largest buffer. */
  readonly maxBufferBytes: number;
  /** Offsets of storage bindings are multiples of this. */
  readonly bindingAlignment: number;
  /** Workgroup memory that one workgroup may use. Deno does not enforce it: the generator does. */
  readonly maxWorkgroupBytes: number;
  /** Invocations of one workgroup. */
  readonly maxInvocations: number;
  /** Workgroups in one dimension of a dispatch. Deno reports a larger one too late: the planner refuses it. */
  readonly maxWorkgroups: number;
  /**
   * Loop iterations that one invocation may make, over all its loops. lavapipe stops silently after 65,535
   * (LP_MAX_TGSI_LOOP_ITERATIONS); GPUs have watchdogs instead.
   */
  readonly maxLoopIterations: number;
}

/** WebGPU's guaranteed minimum, without optional features: what a kernel may rely on everywhere. */
export const BASELINE: Capabilities = {
  software: false,
  subgroupSize: 0,
  f16: false,
  maxStorageBuffers: 8,
  maxBindingBytes: 128 * 2 ** 20,
  maxBufferBytes: 256 * 2 ** 20,
  bindingAlignment: 256,
  maxWorkgroupBytes: 16 * 2 ** 10,
  maxInvocations: 256,
  maxWorkgroups: 65_535,
  maxLoopIterations: 65_535,
};

/** lavapipe as Debian ships it on AVX2 processors, with the adapter's own limits requested. */
export const LAVAPIPE: Capabilities = {
  ...BASELINE,
  software: true,
  subgroupSize: 8,
  f16: true,
  maxStorageBuffers: 32,
  maxBufferBytes: 2 ** 31 - 1,
  maxWorkgroupBytes: 32 * 2 ** 10,
  maxInvocations: 1024,
};
