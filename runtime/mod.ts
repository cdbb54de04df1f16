/**
 * The runtime: opens a WebGPU device and runs compiled programs on it.
 *
 * @example
 * ```ts ignore
 * await ensureAdapter();
 * const device = await openDevice();
 * const states = device.createStates();
 * const step = await device.load(program, states);
 * const ring = step.createRing(["loss"]);
 * for (let i = 0; i < 100; i++) step.run({ batch: { tokens }, scalars: { lr: 1e-3 }, record: ring, tag: i });
 * for (const { tag, values } of await ring.drain()) console.log(tag, values.loss);
 * ```
 *
 * @module
 */
export { DRIVER_REMEDY, ensureAdapter } from "./adapter.ts";
export { type DeviceInfo, type DeviceOptions, GpuDevice, openDevice } from "./device.ts";
export { BindingError, DeviceError, GpuError, type GpuErrorKind, type GpuErrorPlace } from "./errors.ts";
export { type Launch, LoadedProgram, type RunInputs } from "./execute.ts";
export {
  type CallArguments,
  compile,
  type Compiled,
  type HostArray,
  type JitOptions,
  type StateSpec,
} from "../compiler/jit.ts";
export { checkProgram } from "./limits.ts";
export { DeviceMemory } from "./memory.ts";
export { type KernelLayout, PipelineCache } from "./pipelines.ts";
export { type DispatchTime, profile } from "./profile.ts";
export { type QueueGap, type QueueUse, queueUse } from "./queue_use.ts";
export {
  DEVICE_THREAD,
  type DeviceSpan,
  type HostSpan,
  Recorder,
  type RecorderMode,
  type Recording,
} from "./recorder.ts";
export { MetricsRing, type RingOptions, type RingRecord } from "./ring.ts";
export { StateStore } from "./state.ts";
export {
  type Trace,
  type TraceArgs,
  type TraceCounter,
  type TraceRow,
  type TraceSpan,
  traceText,
} from "./trace_events.ts";
export { Readback, type ReadRange, StagingPool } from "./transfer.ts";
export { GpuTurns, QUANTUM_MS, TURN_PARTIES } from "./turns.ts";
export { type TensorData } from "./values.ts";
export { tune, type TuneOptions, type TuneReport, type TuneTarget, untuned } from "./tune.ts";
export { TUNE_VARIABLE, TuningCache, type TuningEntry } from "./tune_cache.ts";
