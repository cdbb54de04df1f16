/**
 * What a library does to the GPU, seen from outside: dispatches, bytes of buffers alive, and the first WebGPU error,
 * which none of the peers reports. Installed before a library asks for its device, by wrapping the WebGPU classes.
 *
 * @module
 */

/** Counts since {@link watchGpu}, or since {@link GpuWatch.reset}. */
export interface GpuWatch {
  /** The last device that was asked for. */
  readonly device: GPUDevice | undefined;
  readonly dispatches: number;
  readonly peakBytes: number;
  /** Message of the first uncaptured error or loss of the device. */
  readonly error: string | undefined;
  /** Starts dispatches, peak and error anew. */
  reset(): void;
  /** Waits for all submitted work, and says when it ended, by `performance.now()`. */
  idle(): Promise<number>;
}

/**
 * Wraps this process's WebGPU.
 *
 * @param rewrite Changes the WGSL of each module before naga sees it.
 */
export function watchGpu(rewrite: (wgsl: string) => string = (wgsl) => wgsl): GpuWatch {
  // Where Sinter brought its own driver, the loader's path is in the environment: see runtime/environment.ts.
  const loader = Deno.env.get("SINTER_VULKAN_LOADER");
  if (loader) Deno.dlopen(loader, {});
  let device: GPUDevice | undefined;
  let dispatches = 0, bytes = 0, peakBytes = 0;
  let error: string | undefined;
  const sizes = new WeakMap<GPUBuffer, number>();

  wrap(
    GPUAdapter.prototype,
    "requestDevice",
    (original) =>
      async function (this: GPUAdapter, descriptor?: GPUDeviceDescriptor) {
        const made = await original.call(this, descriptor);
        made.addEventListener("uncapturederror", (event) => {
          // Without this Deno prints the error and ends the process.
          event.preventDefault();
          error ??= (event as GPUUncapturedErrorEvent).error.message;
        });
        made.lost.then(({ reason, message }) => {
          if (reason !== "destroyed") error ??= `device lost: ${message}`;
        });
        device = made;
        return made;
      },
  );
  for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"] as const) {
    wrap(
      GPUComputePassEncoder.prototype,
      name,
      (original) =>
        function (this: GPUComputePassEncoder, ...args: never[]) {
          dispatches++;
          return (original as (...args: unknown[]) => void).apply(this, args);
        } as typeof original,
    );
  }
  wrap(
    GPUDevice.prototype,
    "createBuffer",
    (original) =>
      function (this: GPUDevice, descriptor: GPUBufferDescriptor) {
        const buffer = original.call(this, descriptor);
        sizes.set(buffer, descriptor.size);
        bytes += descriptor.size;
        peakBytes = Math.max(peakBytes, bytes);
        return buffer;
      },
  );
  wrap(GPUBuffer.prototype, "destroy", (original) =>
    function (this: GPUBuffer) {
      bytes -= sizes.get(this) ?? 0;
      sizes.delete(this);
      original.call(this);
    });
  wrap(
    GPUDevice.prototype,
    "createShaderModule",
    (original) =>
      function (this: GPUDevice, descriptor: GPUShaderModuleDescriptor) {
        return original.call(this, { ...descriptor, code: rewrite(descriptor.code) });
      },
  );

  return {
    get device() {
      return device;
    },
    get dispatches() {
      return dispatches;
    },
    get peakBytes() {
      return peakBytes;
    },
    get error() {
      return error;
    },
    reset() {
      dispatches = 0;
      peakBytes = bytes;
      error = undefined;
    },
    async idle() {
      // In Deno the call itself waits for the device; what it returns resolves after a further 10 ms of sleep.
      const done = device!.queue.onSubmittedWorkDone();
      const end = performance.now();
      await done;
      return end;
    },
  };
}

function wrap<T, K extends keyof T>(prototype: T, name: K, make: (original: T[K]) => T[K]): void {
  prototype[name] = make(prototype[name]);
}
