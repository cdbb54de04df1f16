/**
 * What the adapter can do at best, measured with kernels that do nothing else: multiply-adds between registers, copies
 * and reads of vec4s, and empty launches. Everything else in a report is given as a share of these.
 *
 * The kernels are written by hand: a ceiling measured through the compiler would move with it.
 *
 * @module
 */
import type { GpuDevice } from "../runtime/mod.ts";
import { chainFor, spreadOf, timeOnce } from "./measure.ts";

/** The adapter's measured best. Rates are of the best run, as a ceiling is nothing that a run can lie above. */
export interface Ceilings {
  /** Multiply-adds of f32 in registers, two operations each. */
  readonly f32Gflops: number;
  /** The same in f16; absent where the device has none. */
  readonly f16Gflops?: number;
  /** Bytes read plus bytes written by a copy. */
  readonly copyGBs: number;
  /** Bytes read, and the few written, by sums. */
  readonly readGBs: number;
  /** Bytes read plus bytes written by the driver's own copy of a buffer, which a kernel may not reach. */
  readonly driverCopyGBs: number;
  /** Microseconds of an empty dispatch among others in one pass. */
  readonly dispatchUs: number;
  /** Microseconds of a submission with one empty dispatch. */
  readonly submitUs: number;
}

/**
 * The fastest way to move bytes that was found: the ceiling that shares of bandwidth are given of. On software adapters it
 * is the driver's own copy, which moved three times the bytes of the best copying kernel.
 */
export function bandwidthOf({ copyGBs, readGBs, driverCopyGBs }: Ceilings): number {
  return Math.max(copyGBs, readGBs, driverCopyGBs);
}

/** The best of two measurements of the same adapter; costs are best when low. */
export function bestOf(a: Ceilings, b: Ceilings): Ceilings {
  return {
    f32Gflops: Math.max(a.f32Gflops, b.f32Gflops),
    ...(a.f16Gflops && b.f16Gflops ? { f16Gflops: Math.max(a.f16Gflops, b.f16Gflops) } : {}),
    copyGBs: Math.max(a.copyGBs, b.copyGBs),
    readGBs: Math.max(a.readGBs, b.readGBs),
    driverCopyGBs: Math.max(a.driverCopyGBs, b.driverCopyGBs),
    dispatchUs: Math.min(a.dispatchUs, b.dispatchUs),
    submitUs: Math.min(a.submitUs, b.submitUs),
  };
}

/** Iterations and statements of an arithmetic kernel's loop; far below any limit on iterations. */
const LOOPS = 128;
const UNROLL = 8;
/** Accumulators of four numbers: chains enough to hide the latency, few enough to stay in registers. */
const ACCUMULATORS = [4, 8] as const;
const LANES = 64;
/** Vectors of 16 bytes that an invocation copies or reads, where it takes more than one. */
const VECTORS = 4;
/**
 * Where they lie: one alone, a workgroup apart, side by side, or each in its own quarter of the buffer. Which of them is
 * fastest differs from GPUs to processors.
 */
const PATTERNS = ["one", "near", "beside", "far"] as const;
type Pattern = (typeof PATTERNS)[number];
const EMPTY_DISPATCHES = 200;

/** Measures them all, in a few seconds. `bytes`: size of the buffers; past any cache, unless told otherwise. */
export async function measureCeilings(
  device: GpuDevice,
  { repeats = 5, bytes = defaultBytes(device) }: { repeats?: number; bytes?: number } = {},
): Promise<Ceilings> {
  const bench = new Bench(device, bytes, repeats);
  try {
    return {
      f32Gflops: await bench.arithmetic("f32"),
      ...(device.capabilities.f16 ? { f16Gflops: await bench.arithmetic("f16") } : {}),
      copyGBs: await bench.bandwidth("copy"),
      readGBs: await bench.bandwidth("read"),
      driverCopyGBs: await bench.driverCopy(),
      ...await bench.launches(),
    };
  } finally {
    bench.destroy();
  }
}

function defaultBytes({ capabilities: { software, maxBindingBytes } }: GpuDevice): number {
  const wanted = software ? 64 * 2 ** 20 : 512 * 2 ** 20;
  return Math.min(wanted, 2 ** Math.floor(Math.log2(maxBindingBytes)));
}

interface Kernel {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** Two buffers and the kernels that work on them. */
class Bench {
  readonly #device: GpuDevice;
  readonly #bytes: number;
  readonly #repeats: number;
  readonly #from: GPUBuffer;
  readonly #to: GPUBuffer;

  constructor(device: GpuDevice, bytes: number, repeats: number) {
    this.#device = device;
    this.#bytes = bytes;
    this.#repeats = repeats;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#from = device.memory.allocate("ceilings.from", bytes, usage);
    this.#to = device.memory.allocate("ceilings.to", bytes, usage);
    // A factor of 1/2 and a summand of 1, for arithmetic that stays near 2: neither overflows nor becomes subnormal.
    device.gpu.queue.writeBuffer(this.#from, 0, Float32Array.of(0.5, 1));
  }

  destroy(): void {
    this.#device.memory.free(this.#from);
    this.#device.memory.free(this.#to);
  }

  /** GFLOP/s of multiply-adds in registers. */
  async arithmetic(dtype: "f32" | "f16"): Promise<number> {
    // Few invocations are enough for two cores, a large GPU wants millions.
    const workgroups = this.#device.capabilities.software ? 256 : 16_384;
    const rates: number[] = [];
    for (const accumulators of ACCUMULATORS) {
      const kernel = this.#kernel(arithmeticKernel(dtype, accumulators));
      const ms = await this.#best(() => this.#submit(kernel, workgroups));
      rates.push(2 * 4 * accumulators * UNROLL * LOOPS * LANES * workgroups / ms / 1e6);
    }
    return Math.max(...rates);
  }

  /** GB/s of a kernel that copies or reads one buffer. */
  async bandwidth(what: "copy" | "read"): Promise<number> {
    const rates: number[] = [];
    for (const pattern of PATTERNS) {
      const vectors = pattern === "one" ? 1 : VECTORS;
      const kernel = this.#kernel(what === "copy" ? copyKernel(pattern) : readKernel(pattern));
      const workgroups = this.#bytes / 16 / vectors / LANES;
      const ms = await this.#best(() => this.#submit(kernel, workgroups));
      const passes = what === "copy" ? 2 : 1 + 1 / vectors;
      rates.push(passes * this.#bytes / ms / 1e6);
    }
    return Math.max(...rates);
  }

  /** GB/s of `copyBufferToBuffer`. */
  async driverCopy(): Promise<number> {
    const { gpu } = this.#device;
    const ms = await this.#best(() => {
      const encoder = gpu.createCommandEncoder({ label: "ceilings" });
      encoder.copyBufferToBuffer(this.#from, 0, this.#to, 0, this.#bytes);
      gpu.queue.submit([encoder.finish()]);
    });
    return 2 * this.#bytes / ms / 1e6;
  }

  /** What a dispatch costs among others, and what a submission of its own adds. */
  async launches(): Promise<{ dispatchUs: number; submitUs: number }> {
    const kernel = this.#kernel(copyKernel("one"));
    const many = await this.#best(() => this.#submit(kernel, 1, EMPTY_DISPATCHES));
    const one = await this.#best(() => this.#submit(kernel, 1));
    return { dispatchUs: many / EMPTY_DISPATCHES * 1e3, submitUs: one * 1e3 };
  }

  async #best(run: () => void): Promise<number> {
    run();
    const once = await timeOnce(this.#device, run);
    const chain = chainFor(once, 60, 1000);
    const times: number[] = [];
    for (let i = 0; i < this.#repeats; i++) times.push(await timeOnce(this.#device, run, chain));
    return spreadOf(times).min;
  }

  /** Workgroups past the limit of one dimension go into the second. */
  #submit({ pipeline, group }: Kernel, workgroups: number, times = 1): void {
    const { gpu, capabilities } = this.#device;
    const rows = Math.ceil(workgroups / capabilities.maxWorkgroups);
    const encoder = gpu.createCommandEncoder({ label: "ceilings" });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(Math.ceil(workgroups / rows), rows);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }

  #kernel(code: string): Kernel {
    const { gpu } = this.#device;
    const pipeline = gpu.createComputePipeline({
      layout: "auto",
      compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
    });
    const group = gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [this.#from, this.#to].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    return { pipeline, group };
  }
}

const HEAD = `@group(0) @binding(0) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> results: array<vec4<f32>>;
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) size: vec3<u32>) {
  let at = id.y * size.x * ${LANES}u + id.x;
`;

function repeat(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

function arithmeticKernel(dtype: "f32" | "f16", accumulators: number): string {
  const vector = `vec4<${dtype}>`;
  const body = repeat(UNROLL, () => repeat(accumulators, (i) => `    r${i} = r${i} * a + b;`));
  const sum = Array.from({ length: accumulators }, (_, i) => `r${i}`).join(" + ");
  return `${dtype === "f16" ? "enable f16;\n" : ""}${HEAD}  let a = ${vector}(values[0].xxxx);
  let b = ${vector}(values[0].yyyy);
${repeat(accumulators, (i) => `  var r${i} = b * ${dtype}(f32((id.x + ${i}u) % 64u) / 64.0);`)}
  for (var i = 0u; i < ${LOOPS}u; i += 1u) {
${body}
  }
  results[at % 4096u] = vec4<f32>(${sum});
}`;
}

/**
 * There is no guard: the buffer is a multiple of what a workgroup copies, and on software adapters a branch costs more
 * than a load.
 */
function copyKernel(pattern: Pattern): string {
  return `${HEAD}
${lines(pattern, (at) => `  results[${at}] = values[${at}];`)}
}`;
}

/** As many loads, and one store, so that nothing is left out. */
function readKernel(pattern: Pattern): string {
  return `${HEAD}
  results[at] = ${placesOf(pattern).map((place) => `values[${place}]`).join(" + ")};
}`;
}

function lines(pattern: Pattern, line: (place: string) => string): string {
  return placesOf(pattern).map(line).join("\n");
}

/** Indices of an invocation's vectors. */
function placesOf(pattern: Pattern): string[] {
  if (pattern === "one") return ["at"];
  return Array.from({ length: VECTORS }, (_, i) => {
    if (pattern === "near") return `at / ${LANES}u * ${LANES * VECTORS}u + at % ${LANES}u + ${i * LANES}u`;
    return pattern === "beside"
      ? `at * ${VECTORS}u + ${i}u`
      : `at + arrayLength(&values) / ${VECTORS}u * ${i}u`;
  });
}
