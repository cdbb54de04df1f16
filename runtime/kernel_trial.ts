/**
 * Two kernels of the same bindings against each other, on copies of what a launch of a program really reads: do they store
 * the same bits, and which is faster? The program itself is left as it is.
 *
 * @module
 */
import type { KernelSource } from "../compiler/program.ts";
import type { LoadedProgram } from "./execute.ts";
import { encodeKernel, median, type ReadyKernel, timePasses } from "./timed_passes.ts";
import { download } from "./transfer.ts";

/** A kernel, and how many workgroups of it are launched. */
export interface TriedKernel {
  /** The kernel. */
  readonly source: KernelSource;
  /** Workgroups in each dimension. */
  readonly workgroups: readonly [number, number, number];
}

/** Times of two kernels, taken in alternation. */
export interface Duel {
  /** Median milliseconds of one launch of each. */
  readonly ms: readonly [number, number];
  /** Median of the ratios, second over first, of neighbours in time: below 1 the second is faster. */
  readonly ratio: number;
  /** Measurements of each. */
  readonly rounds: number;
  /** Launches in each measurement. */
  readonly launches: number;
  /** By the device's clock; otherwise by the wall's. */
  readonly byDevice: boolean;
}

/** A buffer for the kernels to work on, and what it holds before. */
interface Copy {
  readonly buffer: GPUBuffer;
  readonly original: GPUBuffer;
}

const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** Each measurement takes about so long, in milliseconds; a wall clock needs longer ones. */
const PIECE_MS = { device: 4, wall: 30 };
const ROUNDS = 11;
const MOST_LAUNCHES = 256;

/** Copies of the buffers of one launch. */
export class KernelTrial implements Disposable {
  private constructor(
    private readonly loaded: LoadedProgram,
    private readonly dispatch: number,
    /** By binding; absent for scalars, which no kernel changes. */
    private readonly copies: readonly (Copy | undefined)[],
  ) {}

  /**
   * Copies what dispatch number `dispatch` of a program would read now.
   *
   * @throws {LimitError} when there is no memory for it.
   */
  static open(loaded: LoadedProgram, dispatch: number): KernelTrial {
    const { device, program } = loaded;
    const { ranges, kernel } = program.dispatches[dispatch];
    const { bindings } = program.kernels[kernel];
    const made: GPUBuffer[] = [];
    const allocate = (size: number) => {
      const buffer = device.memory.allocate("trial", size, USAGE);
      made.push(buffer);
      return buffer;
    };
    try {
      const copies = ranges.map(({ size }, i): Copy | undefined =>
        bindings[i] === "uniform" ? undefined : { buffer: allocate(size), original: allocate(size) }
      );
      const encoder = device.gpu.createCommandEncoder({ label: "trial" });
      ranges.forEach((range, i) => {
        const { buffer, offset, bytes } = loaded.rangeIn(range);
        if (copies[i]) encoder.copyBufferToBuffer(buffer, offset, copies[i].original, 0, bytes);
      });
      device.gpu.queue.submit([encoder.finish()]);
      return new KernelTrial(loaded, dispatch, copies);
    } catch (problem) {
      for (const buffer of made) device.memory.free(buffer);
      throw problem;
    }
  }

  /**
   * Compiles a kernel for the trial.
   *
   * @throws {GpuError} when the driver refuses its text, with the line, or its bindings or workgroups.
   */
  async prepare({ source, workgroups }: TriedKernel): Promise<ReadyKernel> {
    const { device, program } = this.loaded;
    const place = { program: program.name, kernel: source.name };
    const pipeline = await device.pipelines.get(source, program.name);
    device.gpu.pushErrorScope("validation");
    const group = device.gpu.createBindGroup({
      label: source.name,
      layout: device.pipelines.layout(source.bindings).group,
      entries: this.copies.map((copy, binding) => ({
        binding,
        resource: copy ? { buffer: copy.buffer } : this.#range(binding),
      })),
    });
    const ready = { pipeline, group, workgroups };
    // Encoding without submitting has the driver judge the dispatch.
    const encoder = device.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encodeKernel(pass, { ready, dispatches: 1 });
    pass.end();
    encoder.finish();
    const refused = await device.gpu.popErrorScope();
    if (refused) throw device.explain(refused, place);
    return ready;
  }

  /** What a kernel leaves in the bindings that it may write, one launch after the copies were as they were. */
  async results(ready: ReadyKernel): Promise<Uint8Array<ArrayBuffer>[]> {
    const { device, program } = this.loaded;
    const { bindings } = program.kernels[program.dispatches[this.dispatch].kernel];
    const encoder = device.gpu.createCommandEncoder({ label: "trial" });
    for (const copy of this.copies) {
      if (copy) encoder.copyBufferToBuffer(copy.original, 0, copy.buffer, 0, copy.original.size);
    }
    const pass = encoder.beginComputePass();
    encodeKernel(pass, { ready, dispatches: 1 });
    pass.end();
    device.gpu.queue.submit([encoder.finish()]);
    const written = this.copies.filter((copy, i) => copy && bindings[i] === "read_write") as Copy[];
    return await download(device, written.map(({ buffer }) => ({ buffer, offset: 0, bytes: buffer.size })));
  }

  /**
   * Times two kernels in alternation, after one measurement of each that does not count.
   *
   * @throws {GpuError} when the device fails.
   */
  async duel(first: ReadyKernel, second: ReadyKernel): Promise<Duel> {
    const { device } = this.loaded;
    const glances = await timePasses(
      device,
      [first, second, first, second].map((ready) => ({ ready, dispatches: 1 })),
    );
    const byDevice = device.info.timestamps;
    const slower = Math.max(glances[2], glances[3], 1e-3);
    const piece = byDevice ? PIECE_MS.device : PIECE_MS.wall;
    const launches = Math.max(1, Math.min(MOST_LAUNCHES, Math.ceil(piece / slower)));
    const passes = Array.from({ length: ROUNDS }, (_, round) => {
      const pair = [{ ready: first, dispatches: launches }, { ready: second, dispatches: launches }];
      return round % 2 === 0 ? pair : pair.reverse();
    });
    const times = await timePasses(device, passes.flat());
    const pairs = passes.map((_, round) => {
      const [a, b] = times.slice(2 * round, 2 * round + 2);
      return round % 2 === 0 ? [a, b] as const : [b, a] as const;
    });
    return {
      ms: [median(pairs.map(([a]) => a)), median(pairs.map(([, b]) => b))],
      ratio: median(pairs.map(([a, b]) => b / a)),
      rounds: ROUNDS,
      launches,
      byDevice,
    };
  }

  /** Gives the copies back. */
  [Symbol.dispose](): void {
    const { memory } = this.loaded.device;
    for (const copy of this.copies) {
      if (copy) { for (const buffer of [copy.buffer, copy.original]) memory.free(buffer); }
    }
  }

  #range(binding: number): GPUBufferBinding {
    const range = this.loaded.rangeIn(this.loaded.program.dispatches[this.dispatch].ranges[binding]);
    return { buffer: range.buffer, offset: range.offset, size: range.bytes };
  }
}
