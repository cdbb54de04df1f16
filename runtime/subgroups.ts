/**
 * Finds the subgroup size by running a kernel: drivers have reported one size and run another (Mesa's shader cache does,
 * after LP_NATIVE_VECTOR_WIDTH changes), and a wrong size gives wrong sums without an error.
 *
 * @module
 */

const INVOCATIONS = 128;

/** `enable subgroups;` is the standard's, but naga refuses the line while it takes what the line enables. */
const PROBE = `
@group(0) @binding(0) var<storage, read_write> seen: array<vec4<u32>, ${INVOCATIONS}>;
@compute @workgroup_size(${INVOCATIONS})
fn probe(@builtin(local_invocation_index) i: u32, @builtin(subgroup_invocation_id) lane: u32) {
  seen[i] = vec4<u32>(subgroupAdd(1u), lane, subgroupShuffle(i, 1u), subgroupMax(i));
}`;

/**
 * Lanes of a subgroup, when consecutive invocations form subgroups of one fixed size and the operations work; otherwise
 * 0. A driver that may choose among sizes kernel by kernel counts as 0: one probe says nothing about the next kernel.
 *
 * @param gpu A device with the feature `subgroups`.
 * @param info The adapter's, for its smallest and largest size.
 */
export async function probeSubgroupSize(gpu: GPUDevice, info: GPUAdapterInfo): Promise<number> {
  if (info.subgroupMinSize !== info.subgroupMaxSize) return 0;
  const size = INVOCATIONS * 16;
  gpu.pushErrorScope("validation");
  const seen = gpu.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const staging = gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const module = gpu.createShaderModule({ code: PROBE });
  const pipeline = gpu.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "probe" } });
  const entries = [{ binding: 0, resource: { buffer: seen } }];
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(seen, 0, staging, 0, size);
  gpu.queue.submit([encoder.finish()]);
  if (await gpu.popErrorScope()) return 0;
  await staging.mapAsync(GPUMapMode.READ);
  const lanes = subgroupSizeOf(new Uint32Array(staging.getMappedRange()));
  seen.destroy();
  staging.destroy();
  return lanes;
}

/** The size that the probe's four words per invocation agree on, otherwise 0. */
export function subgroupSizeOf(seen: Uint32Array): number {
  const size = seen[0];
  if (size < 2 || INVOCATIONS % size !== 0) return 0;
  for (let i = 0; i < INVOCATIONS; i++) {
    const first = i - i % size;
    const expected = [size, i % size, first + 1, first + size - 1];
    if (expected.some((word, at) => seen[i * 4 + at] !== word)) return 0;
  }
  return size;
}
