/**
 * The runtime: opens a WebGPU device and runs compiled programs on it.
 *
 * @example A hundred steps, whose losses are read together
 * ```ts
 * import { compileGraph, grad, trace } from "@sinter/sinter/compiler";
 * import { ensureAdapter, openDevice } from "@sinter/sinter/runtime";
 *
 * await ensureAdapter();
 * const device = await openDevice();
 * const graph = trace(({ w, x, rate }) => {
 *   const loss = x.matmul(w).sub(1).pow(2).mean();
 *   return { loss, w: w.sub(grad(loss, [w])[0].mul(rate)) };
 * }, {
 *   w: { shape: [4, 1], dtype: "f32", role: "state" },
 *   x: { shape: [8, 4], dtype: "f32", role: "batch" },
 *   rate: { shape: [], dtype: "f32", role: "scalar" },
 * }, { donates: { w: "w" } });
 * const step = await device.load(compileGraph(graph, device.capabilities), device.createStates());
 * const ring = step.createRing(["loss"]);
 * const x = Float32Array.from({ length: 32 }, Math.random);
 * for (let i = 0; i < 100; i++) step.run({ batch: { x }, scalars: { rate: 0.1 }, record: ring, tag: i });
 * for (const { tag, values } of await ring.drain()) console.log(tag, values.loss);
 * device.destroy();
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
export { type ReadyKernel, type TimedPass, timePasses } from "./timed_passes.ts";
