/**
 * Times every dispatch of a run with the device's own clock. Each dispatch gets a pass of its own for that, which costs
 * some microseconds: the parts are right, their sum is a little more than a run.
 *
 * @module
 */
import type { LoadedProgram, RunInputs } from "./execute.ts";
import { encodeLaunches } from "./execute.ts";
import { DeviceError } from "./errors.ts";
import { download } from "./transfer.ts";

/** What one dispatch took. */
export interface DispatchTime {
  /** Name of its kernel. */
  readonly kernel: string;
  /** Fusion group that it belongs to. */
  readonly group: number;
  /** Milliseconds. */
  readonly ms: number;
  /** Bytes read and written, as the compiler counts them. */
  readonly bytes: number;
  /** Floating-point operations, as the compiler counts them. */
  readonly flops: number;
}

/** WebGPU's limit is 4096 queries in a set; a dispatch takes two. */
const DISPATCHES_PER_SET = 2048;
/** Bytes of a timestamp, in nanoseconds. */
const STAMP = 8;

/**
 * Runs a program once and times its dispatches. Everything that a run does happens once, so a training step trains.
 *
 * @throws {DeviceError} when the device cannot time.
 * @throws {BindingError} {@link GpuError} as a run does.
 * @example
 * ```ts
 * import { compileGraph, trace } from "@sinter/sinter/compiler";
 * import { openDevice, profile } from "@sinter/sinter/runtime";
 * const device = await openDevice();
 * const graph = trace(({ x }) => ({ y: x.matmul(x).exp() }), { x: { shape: [64, 64], dtype: "f32", role: "batch" } });
 * const program = await device.load(compileGraph(graph, device.capabilities), device.createStates());
 * if (device.info.timestamps) {
 *   for (const { kernel, ms } of await profile(program, { batch: { x: new Float32Array(4096) } })) console.log(kernel, ms);
 * }
 * device.destroy();
 * ```
 */
export async function profile(loaded: LoadedProgram, inputs: RunInputs = {}): Promise<DispatchTime[]> {
  const { device, program, launches } = loaded;
  const { gpu, memory } = device;
  if (!device.info.timestamps) {
    throw new DeviceError(`${device.info.description} has no timestamps`, "profile on another adapter");
  }
  loaded.upload(inputs);
  const times: DispatchTime[] = [];
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  for (let start = 0; start < launches.length; start += DISPATCHES_PER_SET) {
    const some = launches.slice(start, start + DISPATCHES_PER_SET);
    // As many queries as are written: resolving others hangs SwiftShader.
    const count = some.length * 2;
    const querySet = gpu.createQuerySet({ type: "timestamp", count });
    const stamps = memory.allocate(`${program.name}.timestamps`, count * STAMP, usage);
    const encoder = gpu.createCommandEncoder({ label: `profile ${program.name}` });
    some.forEach((launch, i) => {
      const pass = encoder.beginComputePass({
        label: program.kernels[launch.dispatch.kernel].name,
        timestampWrites: { querySet, beginningOfPassWriteIndex: i * 2, endOfPassWriteIndex: i * 2 + 1 },
      });
      encodeLaunches(pass, [launch]);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, count, stamps, 0);
    gpu.queue.submit([encoder.finish()]);
    const [bytes] = await download(device, [{ buffer: stamps, offset: 0, bytes: count * STAMP }]);
    const nanoseconds = new BigUint64Array(bytes.buffer);
    some.forEach(({ dispatch }, i) =>
      times.push({
        kernel: program.kernels[dispatch.kernel].name,
        group: dispatch.group,
        ms: Number(nanoseconds[i * 2 + 1] - nanoseconds[i * 2]) / 1e6,
        bytes: dispatch.bytes,
        flops: dispatch.flops,
      })
    );
    memory.free(stamps);
    querySet.destroy();
  }
  return times;
}
