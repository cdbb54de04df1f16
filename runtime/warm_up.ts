/**
 * lavapipe compiles a kernel to machine code at its first dispatch, one after the other in its queue's thread: seconds in
 * which one core works. A second device has a queue of its own, and what it compiles goes into Mesa's cache on disk,
 * where the first one finds it. So before a program first runs, its kernels are dispatched once each, on empty buffers,
 * half of them on a second device (measured on two cores: 40 % less time to the first step).
 *
 * @module
 */
import type { KernelSource } from "../compiler/program.ts";
import type { GpuDevice } from "./device.ts";

/** Fewer kernels are not worth a second device. */
const WORTHWHILE = 8;
/** A kernel out of Mesa's cache takes some 4 ms, a large one that must be compiled 100 ms and more. */
const COLD_MS = 40;
/** Larger than any fixed-size binding; accesses past it read 0 and write nothing. */
const BUFFER_BYTES = 1 << 16;

/**
 * Has the driver compile kernels that are new to it, on all cores. Does nothing on other drivers than lavapipe, and next
 * to nothing when its cache knows the kernels.
 *
 * @param program Name of the program, for errors.
 * @param openSibling Opens a second device on the same adapter.
 */
export async function warmUp(
  device: GpuDevice,
  program: string,
  kernels: readonly KernelSource[],
  openSibling: () => Promise<GpuDevice>,
): Promise<void> {
  if (!device.info.description.startsWith("llvmpipe") || kernels.length < WORTHWHILE) return;
  const [largest, ...others] = [...kernels].sort((a, b) => b.wgsl.length - a.wgsl.length);
  const start = await dispatchOnce(device, program, [largest]);
  if (await device.idle() - start < COLD_MS) return;
  const sibling = await openSibling();
  try {
    await dispatchOnce(sibling, program, others.filter((_, i) => i % 2 === 0));
    await dispatchOnce(device, program, others.filter((_, i) => i % 2 === 1));
    await sibling.idle();
    await device.idle();
  } finally {
    sibling.destroy();
  }
}

/** Submits one workgroup of each kernel and returns the time of the submission. */
async function dispatchOnce(
  device: GpuDevice,
  program: string,
  kernels: readonly KernelSource[],
): Promise<number> {
  const { gpu, memory, pipelines } = device;
  const storage = GPUBufferUsage.STORAGE;
  const read = memory.allocate("warm-up.read", BUFFER_BYTES, storage);
  const written = memory.allocate("warm-up.written", BUFFER_BYTES, storage);
  const uniform = memory.allocate("warm-up.uniform", BUFFER_BYTES, GPUBufferUsage.UNIFORM);
  const buffers = { read, read_write: written, uniform };
  const encoder = gpu.createCommandEncoder({ label: "warm-up" });
  const pass = encoder.beginComputePass();
  for (const kernel of kernels) {
    pass.setPipeline(await pipelines.get(kernel, program));
    pass.setBindGroup(
      0,
      gpu.createBindGroup({
        layout: pipelines.layout(kernel.bindings).group,
        entries: kernel.bindings.map((kind, binding) => ({ binding, resource: { buffer: buffers[kind] } })),
      }),
    );
    pass.dispatchWorkgroups(1);
  }
  pass.end();
  const start = performance.now();
  gpu.queue.submit([encoder.finish()]);
  for (const buffer of Object.values(buffers)) memory.free(buffer);
  return start;
}
