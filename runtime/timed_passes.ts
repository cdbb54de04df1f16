/**
 * Times passes, each of one kernel launched some number of times: by the device's clock where it has one, otherwise by the
 * wall clock around a submission of its own.
 *
 * @module
 */
import type { GpuDevice } from "./device.ts";
import { download } from "./transfer.ts";

/** A kernel on its buffers. */
export interface ReadyKernel {
  /** Its pipeline. */
  readonly pipeline: GPUComputePipeline;
  /** Its ranges. */
  readonly group: GPUBindGroup;
  /** Workgroups of a dispatch. */
  readonly workgroups: readonly [number, number, number];
}

/** Some dispatches of one kernel, timed together. */
export interface TimedPass {
  /** The kernel. */
  readonly ready: ReadyKernel;
  /** How often it is launched. */
  readonly dispatches: number;
}

/** Records dispatches of a kernel. */
export function encodeKernel(pass: GPUComputePassEncoder, { ready, dispatches }: TimedPass): void {
  pass.setPipeline(ready.pipeline);
  pass.setBindGroup(0, ready.group);
  for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(...ready.workgroups);
}

/**
 * Milliseconds of one dispatch in each pass, in the order given.
 *
 * @throws {GpuError} when the device fails.
 */
export async function timePasses(device: GpuDevice, passes: readonly TimedPass[]): Promise<number[]> {
  const { gpu, info } = device;
  if (info.timestamps) {
    const times = await stamped(device, passes);
    // Drivers that grant timestamps and then give none are known.
    if (times.every((time) => time > 0)) return times;
  }
  const times: number[] = [];
  for (const timed of passes) {
    const encoder = gpu.createCommandEncoder({ label: "timing" });
    const pass = encoder.beginComputePass();
    encodeKernel(pass, timed);
    pass.end();
    const commands = encoder.finish();
    const start = performance.now();
    gpu.queue.submit([commands]);
    times.push((await device.idle() - start) / timed.dispatches);
  }
  return times;
}

/** By the device's clock, all passes in one submission. */
async function stamped(device: GpuDevice, passes: readonly TimedPass[]): Promise<number[]> {
  const count = passes.length * 2;
  const querySet = device.gpu.createQuerySet({ type: "timestamp", count });
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const stamps = device.memory.allocate("timing.timestamps", count * 8, usage);
  const encoder = device.gpu.createCommandEncoder({ label: "timing" });
  passes.forEach((timed, i) => {
    const timestampWrites = {
      querySet,
      beginningOfPassWriteIndex: i * 2,
      endOfPassWriteIndex: i * 2 + 1,
    };
    const pass = encoder.beginComputePass({ timestampWrites });
    encodeKernel(pass, timed);
    pass.end();
  });
  encoder.resolveQuerySet(querySet, 0, count, stamps, 0);
  device.gpu.queue.submit([encoder.finish()]);
  const [bytes] = await download(device, [{ buffer: stamps, offset: 0, bytes: count * 8 }]);
  const nanoseconds = new BigUint64Array(bytes.buffer);
  device.memory.free(stamps);
  querySet.destroy();
  return passes.map(({ dispatches }, i) =>
    Number(nanoseconds[i * 2 + 1] - nanoseconds[i * 2]) / 1e6 / dispatches
  );
}

/** The one in the middle; of an even number, the larger of the two. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
