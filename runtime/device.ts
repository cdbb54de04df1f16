/**
 * Opens a WebGPU device and says what it can do. The driver chooses the adapter, and may silently choose one that runs
 * on the processor; features that an adapter lists are refused, and others that it does not list are granted. So this
 * module asks, tries, and reports.
 *
 * @module
 */
import type { Capabilities } from "../compiler/capabilities.ts";
import type { Program } from "../compiler/program.ts";
import { DRIVER_REMEDY } from "./adapter.ts";
import { prepareEnvironment } from "./environment.ts";
import { DeviceError, GpuError, type GpuErrorKind, type GpuErrorPlace, oneLine } from "./errors.ts";
import { LoadedProgram } from "./execute.ts";
import { DeviceMemory } from "./memory.ts";
import { PipelineCache } from "./pipelines.ts";
import type { Recorder } from "./recorder.ts";
import { StateStore } from "./state.ts";
import { probeSubgroupSize } from "./subgroups.ts";
import { StagingPool } from "./transfer.ts";
import { getVariable } from "./variables.ts";
import { warmUp } from "./warm_up.ts";

/** How to open a device. */
export interface DeviceOptions {
  /**
   * Bytes that all buffers together may take. Left out: on a software adapter the memory that the system has available
   * (where the permission sys=systemMemoryInfo allows to ask), on a GPU no limit.
   */
  readonly budgetBytes?: number;
}

/** Which adapter was taken. */
export interface DeviceInfo {
  /** The driver's own words, such as `llvmpipe (LLVM 15.0.6, 256 bits)`. */
  readonly description: string;
  /** `vulkan`, `metal`, `d3d12` or `opengl`. */
  readonly backend: string;
  /** True when the processor does the work. */
  readonly software: boolean;
  /** True when dispatches can be timed. */
  readonly timestamps: boolean;
}

/** Limits that kernels and plans profit from: the adapter's own are asked for instead of WebGPU's low defaults. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
] as const;

/** Optional features, the dearest first. */
const FEATURES = ["subgroups", "shader-f16", "timestamp-query"] as const;

const SOFTWARE_NAMES = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i;

/** LP_MAX_TGSI_LOOP_ITERATIONS of Mesa; also taken for SwiftShader, where an endless loop hangs the process. */
const SOFTWARE_LOOP_ITERATIONS = 65_535;
const GPU_LOOP_ITERATIONS = 2 ** 31 - 1;

/** An open device and all that programs share on it. */
export class GpuDevice {
  /** For whatever this class does not offer. */
  readonly gpu: GPUDevice;
  /** Which adapter it is. */
  readonly info: DeviceInfo;
  /** What programs for this device are compiled for. */
  readonly capabilities: Capabilities;
  /** All buffers of the device, counted. */
  readonly memory: DeviceMemory;
  /** Pipelines by their text. */
  readonly pipelines: PipelineCache;
  /** Buffers for readbacks. */
  readonly staging: StagingPool;
  /**
   * Resolves with the first error that the device reports, if there ever is one; it never rejects. After it the device
   * must be given up, and in a Worker the Worker with it.
   */
  readonly failure: Promise<GpuError>;
  /** Takes down what the device and this thread do, while a profile is made. */
  recorder?: Recorder;
  /** Texts of kernels that have been loaded. */
  readonly #known = new Set<string>();
  #failed?: GpuError;
  #resolveFailure: (error: GpuError) => void;

  /** Use {@link openDevice}. */
  constructor(gpu: GPUDevice, info: DeviceInfo, capabilities: Capabilities, budgetBytes: number) {
    this.gpu = gpu;
    this.info = info;
    this.capabilities = capabilities;
    this.memory = new DeviceMemory(gpu, capabilities.maxBufferBytes, budgetBytes);
    this.pipelines = new PipelineCache(gpu);
    this.staging = new StagingPool(this);
    const { promise, resolve } = Promise.withResolvers<GpuError>();
    this.failure = promise;
    this.#resolveFailure = resolve;
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.reportError((event as GPUUncapturedErrorEvent).error);
    });
    gpu.lost.then(({ message, reason }) =>
      this.fail(new GpuError("lost", reason === "destroyed" ? "the device was destroyed" : oneLine(message)))
    );
  }

  /** One line about the adapter, for the head of a command's output. */
  describe(): string {
    const { description, backend, software } = this.info;
    const { subgroupSize, f16 } = this.capabilities;
    const abilities = [
      subgroupSize > 0 ? `subgroups of ${subgroupSize}` : "no subgroups",
      f16 ? "f16" : "no f16",
    ];
    const what = software ? "SOFTWARE adapter: the processor does the GPU's work" : "GPU";
    return `${description} through ${backend}, ${abilities.join(", ")} (${what})`;
  }

  /** States that programs on this device may share. */
  createStates(): StateStore {
    return new StateStore(this);
  }

  /**
   * Makes a program ready to run. All its buffers, pipelines and bind groups are made here and none later.
   *
   * @param states Where its state inputs live; programs that are given the same store share them by name.
   * @throws {LimitError} when the program asks for more than this device has, before anything is made.
   * @throws {GpuError} when the driver refuses a kernel, naming it and the line of its text.
   */
  load(program: Program, states: StateStore): Promise<LoadedProgram> {
    this.throwIfFailed();
    return LoadedProgram.load(this, program, states);
  }

  /** Has the driver compile what is new to it in a program, where that takes long; see `warm_up.ts`. */
  async warmUp({ name, kernels }: Program): Promise<void> {
    const fresh = kernels.filter(({ wgsl }) => !this.#known.has(wgsl));
    for (const { wgsl } of fresh) this.#known.add(wgsl);
    await warmUp(this, name, fresh, () => openDevice({ budgetBytes: Infinity }));
  }

  /**
   * Waits until all submitted work is done, blocking this thread.
   *
   * @returns `performance.now()` at that moment: Deno sleeps another 10 ms before it goes on.
   */
  async idle(): Promise<number> {
    const done = this.gpu.queue.onSubmittedWorkDone();
    const at = performance.now();
    await done;
    this.throwIfFailed();
    return at;
  }

  /** Marks the device as failed; the first error counts. */
  fail(error: GpuError): void {
    if (this.#failed) return;
    this.#failed = error;
    this.#resolveFailure(error);
  }

  /** Marks the device as failed by an error that WebGPU reported, naming the buffer if the error does. */
  reportError(error: GPUError, place: GpuErrorPlace = {}): void {
    this.fail(this.explain(error, place));
  }

  /** Turns an error of WebGPU into ours. */
  explain(error: GPUError, place: GpuErrorPlace = {}): GpuError {
    const quoted = Array.from(error.message.matchAll(/'([^']+)'/g), ([, label]) => label);
    const labels = this.memory.labels();
    const buffer = quoted.find((label) => labels.has(label));
    return new GpuError(kindOf(error), oneLine(error.message), { buffer, ...place });
  }

  /** Throws the error that the device reported, if it did. Every run and read calls it. */
  throwIfFailed(): void {
    if (this.#failed) throw this.#failed;
  }

  /** Gives the device and all its buffers back. */
  destroy(): void {
    this.fail(new GpuError("lost", "the device was destroyed"));
    this.memory.freeAll();
    this.gpu.destroy();
  }
}

function kindOf(error: GPUError): GpuErrorKind {
  if (error instanceof GPUOutOfMemoryError) return "out-of-memory";
  return error instanceof GPUValidationError ? "validation" : "internal";
}

/**
 * Opens the adapter that the driver offers, preferring Vulkan on Linux. In Deno waiting for a device blocks the thread:
 * long work belongs in a Worker, and the device is opened there. Commands call `ensureAdapter()` before.
 *
 * @throws {DeviceError} when there is no adapter or it refuses a device, with what to install.
 *
 * @example
 * ```ts
 * import { openDevice } from "./device.ts";
 * const device = await openDevice();
 * console.log(device.describe());
 * device.destroy();
 * ```
 */
export async function openDevice(options: DeviceOptions = {}): Promise<GpuDevice> {
  prepareEnvironment();
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError("no WebGPU adapter was found", DRIVER_REMEDY);
  const gpu = await requestDevice(adapter);
  const has = (feature: string) => gpu.features.has(feature as GPUFeatureName);
  const description = adapter.info.description || adapter.info.device || "an adapter without a name";
  const software = adapter.info.isFallbackAdapter || SOFTWARE_NAMES.test(description);
  const info = { description, backend: backend(), software, timestamps: has("timestamp-query") };
  const capabilities: Capabilities = {
    software,
    subgroupSize: has("subgroups") ? await probeSubgroupSize(gpu, adapter.info) : 0,
    f16: has("shader-f16"),
    maxStorageBuffers: gpu.limits.maxStorageBuffersPerShaderStage,
    maxBindingBytes: multipleOf256(gpu.limits.maxStorageBufferBindingSize),
    maxBufferBytes: multipleOf256(gpu.limits.maxBufferSize),
    bindingAlignment: gpu.limits.minStorageBufferOffsetAlignment,
    maxWorkgroupBytes: gpu.limits.maxComputeWorkgroupStorageSize,
    maxInvocations: gpu.limits.maxComputeInvocationsPerWorkgroup,
    maxWorkgroups: gpu.limits.maxComputeWorkgroupsPerDimension,
    maxLoopIterations: software ? SOFTWARE_LOOP_ITERATIONS : GPU_LOOP_ITERATIONS,
  };
  return new GpuDevice(gpu, info, capabilities, options.budgetBytes ?? defaultBudget(software));
}

/** A device with the adapter's limits and as many of the optional features as it grants together. */
async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  let refusal: unknown;
  for (const requiredFeatures of subsets(FEATURES)) {
    try {
      return await adapter.requestDevice({ requiredLimits, requiredFeatures });
    } catch (problem) {
      refusal = problem;
    }
  }
  throw new DeviceError(
    `the adapter ${adapter.info.description} refuses a device (${oneLine(String(refusal))})`,
    DRIVER_REMEDY,
  );
}

/** All subsets, the largest first; among equals, those that keep the first elements. */
function subsets<T>(items: readonly T[]): T[][] {
  const all = Array.from(
    { length: 2 ** items.length },
    (_, mask) => items.filter((_, i) => !(mask >> (items.length - 1 - i) & 1)),
  );
  return all.sort((a, b) => b.length - a.length);
}

function backend(): string {
  if (Deno.build.os === "darwin") return "metal";
  const chosen = getVariable("DENO_WEBGPU_BACKEND");
  if (chosen) return { gl: "opengl", dx12: "d3d12" }[chosen] ?? chosen;
  return Deno.build.os === "windows" ? "d3d12 or vulkan" : "vulkan or opengl";
}

function multipleOf256(bytes: number): number {
  return Math.floor(bytes / 256) * 256;
}

function defaultBudget(software: boolean): number {
  if (!software) return Infinity;
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return state === "granted" ? Deno.systemMemoryInfo().available : Infinity;
}
