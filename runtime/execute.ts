/**
 * A program on a device. Loading makes every GPU object that it needs; a run writes the batch and the scalars, records
 * the dispatches into one pass and submits it, and waits for nothing.
 *
 * @module
 */
import { bytesPerElement } from "../compiler/dtype.ts";
import { sizeOf } from "../compiler/graph.ts";
import type { BufferRange, Dispatch, Program, ProgramTensor } from "../compiler/program.ts";
import type { GpuDevice } from "./device.ts";
import { BindingError, GpuError } from "./errors.ts";
import { checkProgram } from "./limits.ts";
import { MetricsRing, type RingOptions } from "./ring.ts";
import type { StateStore } from "./state.ts";
import { download, type ReadRange, upload } from "./transfer.ts";
import { checkTensorData, setScalar, type TensorData, toTensorData } from "./values.ts";

const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const UNIFORM = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;

/** What one run is given. */
export interface RunInputs {
  /** Values of every batch input, by name. */
  readonly batch?: Readonly<Record<string, TensorData>>;
  /** Values of every scalar input, by name. */
  readonly scalars?: Readonly<Record<string, number>>;
  /** Takes copies of the ring's outputs after this run; `drain()` reads them later. */
  readonly record?: MetricsRing;
  /** Number that the ring's record carries, such as the step; 0 by default. */
  readonly tag?: number;
}

/** One dispatch, ready to be encoded. */
export interface Launch {
  /** Its kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Its ranges. */
  readonly group: GPUBindGroup;
  /** What the compiler says of it. */
  readonly dispatch: Dispatch;
}

/** A program whose buffers, pipelines and bind groups exist. Made by `GpuDevice.load`. */
export class LoadedProgram {
  /** Where it runs. */
  readonly device: GpuDevice;
  /** What was loaded. */
  readonly program: Program;
  /** Dispatches in execution order. */
  readonly launches: readonly Launch[];
  readonly #buffers: readonly GPUBuffer[];
  readonly #owned: readonly GPUBuffer[];
  readonly #scalars: DataView<ArrayBuffer>;
  readonly #scalarsBuffer?: GPUBuffer;
  readonly #batch: readonly ProgramTensor[];
  #destroyed = false;

  private constructor(
    device: GpuDevice,
    program: Program,
    buffers: readonly GPUBuffer[],
    owned: readonly GPUBuffer[],
    launches: readonly Launch[],
  ) {
    this.device = device;
    this.program = program;
    this.launches = launches;
    this.#buffers = buffers;
    this.#owned = owned;
    const scalars = program.buffers.findIndex(({ kind }) => kind === "scalars");
    this.#scalarsBuffer = buffers[scalars];
    this.#scalars = new DataView(new ArrayBuffer(program.buffers[scalars]?.bytes ?? 0));
    this.#batch = program.inputs.filter(({ range }) => program.buffers[range.buffer].kind === "batch");
  }

  /** See `GpuDevice.load`. */
  static async load(device: GpuDevice, program: Program, states: StateStore): Promise<LoadedProgram> {
    checkProgram(program, device.capabilities);
    await device.warmUp(program);
    const owned: GPUBuffer[] = [];
    try {
      device.gpu.pushErrorScope("out-of-memory");
      const buffers = program.buffers.map(({ kind, name, bytes }) => {
        if (kind === "state") return states.ensure(name, bytes);
        const usage = kind === "scalars" ? UNIFORM : STORAGE;
        const buffer = device.memory.allocate(`${program.name}.${name}`, bytes, usage);
        owned.push(buffer);
        return buffer;
      });
      const outOfMemory = await device.gpu.popErrorScope();
      if (outOfMemory) throw device.explain(outOfMemory, { program: program.name });
      const launches = await makeLaunches(device, program, buffers);
      const refused = await findRefused(device, launches);
      if (refused) {
        const { error, launch } = refused;
        throw device.explain(error, place(program, launch));
      }
      return new LoadedProgram(device, program, buffers, owned, launches);
    } catch (problem) {
      for (const buffer of owned) device.memory.free(buffer);
      throw problem;
    }
  }

  /** Bytes of the buffers that belong to this program alone. */
  get bytes(): number {
    return this.#owned.reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /**
   * Queues one execution and returns at once. Values are copied before it returns, so arrays may be used again.
   *
   * @throws {BindingError} when a batch input or scalar is missing, unknown, or of the wrong dtype or size.
   * @throws {GpuError} when the device failed, in this or an earlier run.
   */
  run(inputs: RunInputs = {}): void {
    inputs.record?.check(this);
    const { gpu, recorder } = this.device;
    const recorded = recorder?.begin("encode", { program: this.program.name });
    this.upload(inputs);
    gpu.pushErrorScope("validation");
    const encoder = gpu.createCommandEncoder({ label: this.program.name });
    if (recorder) recorder.encodeRun(encoder, this);
    else encodePass(encoder, this.program.name, this.launches);
    inputs.record?.copyInto(encoder, inputs.tag ?? 0);
    const commands = encoder.finish();
    recorded?.();
    // A driver may take one submission at a time and block the thread until the one before is done: lavapipe does.
    const submitted = recorder?.begin("submit", { program: this.program.name });
    gpu.queue.submit([commands]);
    submitted?.();
    gpu.popErrorScope().then((error) => error && this.#fail(error), () => {});
  }

  /**
   * Checks the inputs of a run and writes them to the device, without running.
   *
   * @throws As {@link run} does.
   */
  upload({ batch = {}, scalars = {} }: RunInputs): void {
    this.device.throwIfFailed();
    const { name, scalars: known } = this.program;
    if (this.#destroyed) throw new GpuError("validation", "the program was destroyed", { program: name });
    checkNames(name, "batch input", this.#batch, batch);
    checkNames(name, "scalar", known, scalars);
    for (const tensor of this.#batch) checkTensorData(name, tensor, batch[tensor.name]);
    for (const scalar of known) setScalar(name, this.#scalars, scalar, scalars[scalar.name]);
    for (const { name, range } of this.#batch) {
      upload(this.device.gpu, this.#buffers[range.buffer], range.offset, batch[name]);
    }
    if (known.length > 0) upload(this.device.gpu, this.#scalarsBuffer!, 0, this.#scalars);
  }

  /**
   * Reads an output as the last run left it. Blocks the thread until all runs are done.
   *
   * @throws {BindingError} when there is no such output.
   * @throws {GpuError} when the device failed.
   */
  async read(output: string): Promise<TensorData> {
    return (await this.readAll([output]))[output];
  }

  /** Reads several outputs, all of them by default, for the price of one. */
  async readAll(names: readonly string[] = this.program.outputs.map(({ name }) => name)): Promise<
    Record<string, TensorData>
  > {
    const outputs = names.map((name) => this.output(name));
    const bytes = await download(this.device, outputs.map((output) => this.rangeOf(output)));
    return Object.fromEntries(outputs.map(({ name, dtype }, i) => [name, toTensorData(bytes[i], dtype)]));
  }

  /** A ring that keeps scalar outputs of many runs until they are read together. */
  createRing(outputs: readonly string[], options: RingOptions = {}): MetricsRing {
    return new MetricsRing(this, outputs.map((name) => this.output(name)), options);
  }

  /**
   * The output of that name.
   *
   * @throws {BindingError} when there is none.
   */
  output(name: string): ProgramTensor {
    const found = this.program.outputs.find((output) => output.name === name);
    if (found) return found;
    const names = this.program.outputs.map((output) => output.name).join(", ");
    throw new BindingError(
      this.program.name,
      name,
      `there is no such output (there are: ${names || "none"})`,
    );
  }

  /** Where an output's values lie; one that donates a state lies in the state's buffer. */
  rangeOf({ range, shape, dtype }: ProgramTensor): ReadRange {
    const bytes = sizeOf(shape) * bytesPerElement(dtype);
    return { buffer: this.#buffers[range.buffer], offset: range.offset, bytes };
  }

  /** A range of one of the program's buffers, for whoever looks at values that are no outputs. */
  rangeIn({ buffer, offset, size }: BufferRange): ReadRange {
    return { buffer: this.#buffers[buffer], offset, bytes: size };
  }

  /**
   * Queues some of the dispatches alone, from `first` up to `end`: for following a run kernel by kernel, after
   * {@link upload}.
   *
   * @throws {GpuError} when the device failed, in these or earlier dispatches.
   */
  async runSome(first: number, end: number): Promise<void> {
    this.device.throwIfFailed();
    const { gpu } = this.device;
    gpu.pushErrorScope("validation");
    const encoder = gpu.createCommandEncoder({ label: this.program.name });
    encodePass(encoder, this.program.name, this.launches.slice(first, end));
    gpu.queue.submit([encoder.finish()]);
    const error = await gpu.popErrorScope();
    if (error) throw this.device.explain(error, place(this.program, this.launches[first]));
  }

  /** Frees this program's own buffers; states stay. */
  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#owned) this.device.memory.free(buffer);
  }

  /** Some errors are found when a dispatch is encoded, others only when it is submitted; the latter name a buffer. */
  async #fail(error: GPUError): Promise<void> {
    const refused = await findRefused(this.device, this.launches).catch(() => undefined);
    const { buffer } = this.device.explain(error);
    const index = this.#buffers.findIndex(({ label }) => label === buffer);
    const user = this.launches.find(({ dispatch }) =>
      dispatch.ranges.some((range) => range.buffer === index)
    );
    this.device.reportError(error, place(this.program, refused?.launch ?? user));
  }
}

/** Records launches into one pass of their own. */
export function encodePass(
  encoder: GPUCommandEncoder,
  label: string,
  launches: readonly Launch[],
  timestampWrites?: GPUComputePassTimestampWrites,
): void {
  const pass = encoder.beginComputePass({ label, timestampWrites });
  encodeLaunches(pass, launches);
  pass.end();
}

/** Records launches into a pass; state that does not change is not set again. */
export function encodeLaunches(pass: GPUComputePassEncoder, launches: readonly Launch[]): void {
  let current: Launch | undefined;
  for (const launch of launches) {
    if (launch.pipeline !== current?.pipeline) pass.setPipeline(launch.pipeline);
    if (launch.group !== current?.group) pass.setBindGroup(0, launch.group);
    pass.dispatchWorkgroups(...launch.dispatch.workgroups);
    current = launch;
  }
}

async function makeLaunches(
  device: GpuDevice,
  program: Program,
  buffers: readonly GPUBuffer[],
): Promise<Launch[]> {
  const pipelines: GPUComputePipeline[] = [];
  for (const kernel of program.kernels) pipelines.push(await device.pipelines.get(kernel, program.name));
  const groups = new Map<string, GPUBindGroup>();
  const launches: Launch[] = [];
  for (const dispatch of program.dispatches) {
    const { name, bindings } = program.kernels[dispatch.kernel];
    const ranges = dispatch.ranges.map(({ buffer, offset, size }) => `${buffer}+${offset}:${size}`);
    const key = `${bindings.join(" ")} ${ranges.join(" ")}`;
    let group = groups.get(key);
    if (!group) {
      device.gpu.pushErrorScope("validation");
      group = device.gpu.createBindGroup({
        label: name,
        layout: device.pipelines.layout(bindings).group,
        entries: dispatch.ranges.map(({ buffer, offset, size }, binding) => ({
          binding,
          resource: { buffer: buffers[buffer], offset, size },
        })),
      });
      const error = await device.gpu.popErrorScope();
      if (error) throw device.explain(error, { program: program.name, kernel: name });
      groups.set(key, group);
    }
    launches.push({ pipeline: pipelines[dispatch.kernel], group, dispatch });
  }
  return launches;
}

/**
 * WebGPU judges a dispatch when its encoder is finished, and does not say which one it means. Encoding without
 * submitting costs microseconds: all together first, then one by one up to the culprit.
 */
async function findRefused(
  device: GpuDevice,
  launches: readonly Launch[],
): Promise<{ readonly error: GPUError; readonly launch: Launch } | undefined> {
  const judge = (some: readonly Launch[]) => {
    device.gpu.pushErrorScope("validation");
    const encoder = device.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encodeLaunches(pass, some);
    pass.end();
    encoder.finish();
    return device.gpu.popErrorScope();
  };
  if (!await judge(launches)) return undefined;
  for (const launch of launches) {
    const error = await judge([launch]);
    if (error) return { error, launch };
  }
  return undefined;
}

function place(program: Program, launch?: Launch): { program: string; kernel?: string } {
  return { program: program.name, kernel: launch && program.kernels[launch.dispatch.kernel].name };
}

function checkNames(
  program: string,
  what: string,
  known: readonly { readonly name: string }[],
  given: Readonly<Record<string, unknown>>,
): void {
  const missing = known.find(({ name }) => given[name] === undefined);
  if (missing) throw new BindingError(program, missing.name, `this ${what} is missing`);
  const unknown = Object.keys(given).find((name) => !known.some((each) => each.name === name));
  if (unknown === undefined) return;
  const names = known.map(({ name }) => name).join(", ");
  throw new BindingError(program, unknown, `there is no such ${what} (there are: ${names || "none"})`);
}
