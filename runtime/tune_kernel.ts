/**
 * One kernel of a program on buffers of its own, with made-up values, under one schedule or another: checks that a schedule
 * gives what the template's own choice gives, and times two of them against each other.
 *
 * @module
 */
import { type DType, isFloat } from "../compiler/dtype.ts";
import { LimitError } from "../compiler/errors.ts";
import type { Tunable } from "../compiler/emit.ts";
import type { Dispatch } from "../compiler/program.ts";
import { type Schedule, scheduleText } from "../compiler/wgsl/template.ts";
import type { GpuDevice } from "./device.ts";
import { GpuError } from "./errors.ts";
import { encodeKernel, median, type ReadyKernel, timePasses } from "./timed_passes.ts";
import { download, type ReadRange, upload } from "./transfer.ts";
import type { Verdict } from "./tune_search.ts";
import { type TensorData, toTensorData } from "./values.ts";

/** A challenger this much slower in its first dispatches is not measured further. */
const HOPELESS = 1.25;
/** A measurement is made of dispatches that take about so long together, in milliseconds. */
const PIECE_MS = 2;
/** Measurements of both schedules together should take about so long, in milliseconds. */
const DUEL_MS = 120;
const ROUNDS = { least: 5, most: 9 };
const MOST_DISPATCHES = 64;

/** Elements of a pattern of made-up values; larger buffers repeat it. */
const PATTERN = 2 ** 18;
/** Of a larger result, the beginning and the end are compared: bytes of each. */
const COMPARED_BYTES = 4 * 2 ** 20;

/** Largest difference that rounding explains, relative to the result's largest value and to the value itself. */
const TOLERANCE: Readonly<Record<DType, number>> = {
  f32: 1e-4,
  f16: 4e-3,
  bf16: 3e-2,
  i32: 0,
  u32: 0,
  bool: 0,
};
/** Whole numbers come from comparisons of rounded values: so many of them may differ. */
const FLIPPED = 1e-3;

interface Output {
  readonly range: ReadRange;
  readonly dtype: DType;
}

/** A kernel, ready to be run under any of its schedules. Made by {@link KernelBench.open}. */
export class KernelBench {
  readonly #ready = new Map<string, ReadyKernel>();
  #expected?: readonly TensorData[];

  private constructor(
    private readonly device: GpuDevice,
    private readonly tunable: Tunable,
    private readonly group: GPUBindGroup,
    private readonly buffers: readonly GPUBuffer[],
    private readonly outputs: readonly Output[],
  ) {}

  /**
   * Makes buffers for a kernel as large as those that `dispatch` binds.
   *
   * @throws {LimitError} when there is no memory for them.
   */
  static open(device: GpuDevice, tunable: Tunable, dispatch: Dispatch): KernelBench {
    const { source: { bindings, name } } = tunable.variant(tunable.preferred);
    const buffers: GPUBuffer[] = [];
    try {
      for (const [i, { size }] of dispatch.ranges.entries()) {
        const usage = bindings[i] === "uniform" ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE;
        const all = usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
        buffers.push(device.memory.allocate(`tuning.${i}`, size, all));
      }
      const group = device.gpu.createBindGroup({
        label: name,
        layout: device.pipelines.layout(bindings).group,
        entries: dispatch.ranges.map(({ size }, binding) => ({
          binding,
          resource: { buffer: buffers[binding], size },
        })),
      });
      const outputs = dispatch.ranges.flatMap(({ size }, i) =>
        bindings[i] === "read_write" ? rangesOf(buffers[i], size, tunable.dtypes[i]) : []
      );
      const bench = new KernelBench(device, tunable, group, buffers, outputs);
      buffers.forEach((buffer, i) => fill(device, buffer, tunable.dtypes[i] ?? "f32", i));
      return bench;
    } catch (problem) {
      for (const buffer of buffers) device.memory.free(buffer);
      throw problem;
    }
  }

  /** Milliseconds of one dispatch under a schedule, roughly, for the price of one readback. */
  async glance(schedule: Schedule): Promise<number> {
    const ready = await this.#prepare(schedule);
    return Math.min(...await timePasses(this.device, [1, 2].map(() => ({ ready, dispatches: 1 }))));
  }

  /** Milliseconds of one dispatch under a schedule, from a few. */
  async time(schedule: Schedule): Promise<number> {
    const ready = await this.#prepare(schedule);
    const dispatches = dispatchesFor(await this.glance(schedule));
    const passes = Array.from({ length: ROUNDS.least }, () => ({ ready, dispatches }));
    return median(await timePasses(this.device, passes));
  }

  /** Checks a challenger's results, and times it in alternation with the best so far unless it is hopeless. */
  async compare(challenger: Schedule, best: Schedule): Promise<Verdict> {
    try {
      this.#expected ??= await this.#results(this.tunable.preferred);
      const wrong = differences(this.outputs, this.#expected, await this.#results(challenger));
      if (wrong) return { kind: "rejected", reason: wrong };
      const pair = [await this.#prepare(challenger), await this.#prepare(best)];
      const passes = [...pair, ...pair].map((ready) => ({ ready, dispatches: 1 }));
      const times = await timePasses(this.device, passes);
      const [challengerMs, bestMs] = [Math.min(times[0], times[2]), Math.min(times[1], times[3])];
      if (challengerMs > HOPELESS * bestMs) return { kind: "timed", challengerMs, bestMs };
      return await this.#duel(pair, bestMs);
    } catch (problem) {
      if (problem instanceof LimitError) return { kind: "rejected", reason: problem.message };
      if (problem instanceof GpuError && problem.kind === "validation") {
        return { kind: "rejected", reason: problem.message };
      }
      throw problem;
    }
  }

  /** Gives the buffers back. */
  close(): void {
    for (const buffer of this.buffers) this.device.memory.free(buffer);
  }

  /**
   * Challenger and best by turns. Neighbours in time are compared, so that a machine that slows down does no harm; and
   * since other work only ever makes a dispatch slower, the shortest times must agree: the less favourable of the two
   * ratios counts.
   */
  async #duel([challenger, best]: readonly ReadyKernel[], bestMs: number): Promise<Verdict> {
    const dispatches = dispatchesFor(bestMs);
    const rounds = Math.floor(DUEL_MS / (2 * dispatches * bestMs));
    const count = Math.max(ROUNDS.least, Math.min(ROUNDS.most, rounds));
    const passes = Array.from({ length: count }, (_, round) => {
      const pair = [{ ready: challenger, dispatches }, { ready: best, dispatches }];
      return round % 2 === 0 ? pair : pair.reverse();
    });
    const times = await timePasses(this.device, passes.flat());
    const pairs = passes.map((_, round) => {
      const [a, b] = times.slice(2 * round, 2 * round + 2);
      return round % 2 === 0 ? [a, b] : [b, a];
    });
    const typical = median(pairs.map(([a, b]) => a / b));
    const shortest = Math.min(...pairs.map(([a]) => a)) / Math.min(...pairs.map(([, b]) => b));
    return { kind: "timed", challengerMs: Math.max(typical, shortest) * bestMs, bestMs };
  }

  async #prepare(schedule: Schedule): Promise<ReadyKernel> {
    const text = scheduleText(schedule);
    let ready = this.#ready.get(text);
    if (!ready) {
      const { source, workgroups } = this.tunable.variant(schedule);
      ready = { pipeline: await this.device.pipelines.get(source, "tuning"), group: this.group, workgroups };
      this.#ready.set(text, ready);
    }
    return ready;
  }

  /** What the kernel stores under a schedule; before, the places hold made-up values that a missing store leaves there. */
  async #results(schedule: Schedule): Promise<TensorData[]> {
    const ready = await this.#prepare(schedule);
    const { dtypes } = this.tunable;
    this.buffers.forEach((buffer, i) => {
      if (this.outputs.some(({ range }) => range.buffer === buffer)) fill(this.device, buffer, dtypes[i], i);
    });
    const encoder = this.device.gpu.createCommandEncoder({ label: "tuning" });
    const pass = encoder.beginComputePass();
    encodeKernel(pass, { ready, dispatches: 1 });
    pass.end();
    this.device.gpu.queue.submit([encoder.finish()]);
    const bytes = await download(this.device, this.outputs.map(({ range }) => range));
    return bytes.map((part, i) => toTensorData(part, this.outputs[i].dtype));
  }
}

/** Dispatches in one measurement of a kernel that takes `ms`. */
function dispatchesFor(ms: number): number {
  return Math.max(1, Math.min(MOST_DISPATCHES, Math.ceil(PIECE_MS / ms)));
}

function rangesOf(buffer: GPUBuffer, size: number, dtype: DType): Output[] {
  const parts = size <= 2 * COMPARED_BYTES
    ? [{ buffer, offset: 0, bytes: size }]
    : [0, size - COMPARED_BYTES].map((offset) => ({ buffer, offset, bytes: COMPARED_BYTES }));
  return parts.map((range) => ({ range, dtype }));
}

/** What is wrong with `given`, if rounding does not explain it. */
export function differences(
  outputs: readonly { readonly dtype: DType }[],
  expected: readonly TensorData[],
  given: readonly TensorData[],
): string | undefined {
  for (const [part, { dtype }] of outputs.entries()) {
    const [want, have] = [expected[part], given[part]];
    const exact = TOLERANCE[dtype] === 0;
    let largest = 0;
    for (const value of want) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    let flipped = 0;
    for (let i = 0; i < want.length; i++) {
      if (Object.is(want[i], have[i]) || want[i] === have[i]) continue;
      if (exact && ++flipped <= FLIPPED * want.length) continue;
      const allowed = TOLERANCE[dtype] * (largest + Math.abs(want[i]));
      if (!exact && Math.abs(want[i] - have[i]) <= allowed) continue;
      return `element ${i} is ${have[i]} instead of ${want[i]}`;
    }
  }
  return undefined;
}

/** Writes made-up values: floats of both signs, small indices. The same ones for the same `seed`. */
function fill(device: GpuDevice, buffer: GPUBuffer, dtype: DType, seed: number): void {
  const bytes = patternOf(dtype, seed);
  for (let at = 0; at < buffer.size; at += bytes.length) {
    upload(device.gpu, buffer, at, bytes.subarray(0, Math.min(bytes.length, buffer.size - at)));
    device.gpu.queue.submit([]);
  }
}

function patternOf(dtype: DType, seed: number): Uint8Array {
  const values = dtype === "f32" || dtype === "bf16"
    ? new Float32Array(PATTERN)
    : dtype === "f16"
    ? new Float16Array(PATTERN)
    : new Uint32Array(PATTERN);
  const whole = dtype === "bool" ? 2 : 16;
  const real = isFloat(dtype);
  // Marsaglia's xorshift with 32 bits.
  let state = 0x9e3779b9 ^ (seed + 1) * 0x85ebca6b;
  for (let i = 0; i < values.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = real ? state / 2 ** 31 : (state >>> 0) % whole;
  }
  if (dtype !== "bf16") return new Uint8Array(values.buffer);
  return new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer);
}
