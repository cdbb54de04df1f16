/**
 * `compile(fn, { device })`: the shortest way from a function over tensors to running kernels. The function is traced at
 * the first call for each combination of shapes; numbers among the arguments become scalars of the program, so that
 * changing them never compiles again. Tensors named in `state` stay on the device between calls.
 *
 * Nothing of WebGPU is here: a device is whatever answers to {@link Device}, such as the `GpuDevice` of `runtime/`.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { type Compilation, compileStages } from "./compile.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import { BindingError } from "./errors.ts";
import { explain, type Stage } from "./explain.ts";
import type { Mode } from "./fusion.ts";
import { sizeOf } from "./graph.ts";
import type { Program } from "./program.ts";
import type { Tensor } from "./tensor.ts";
import { type InputSpec, trace } from "./trace.ts";

/** Values of a tensor, row by row. f16 may also be given as its bits in a `Uint16Array`, bf16 always is; a bool is 0 or 1. */
export type TensorData =
  | Float32Array<ArrayBufferLike>
  | Float16Array<ArrayBufferLike>
  | Int32Array<ArrayBufferLike>
  | Uint32Array<ArrayBufferLike>
  | Uint16Array<ArrayBufferLike>;

/** An array with its shape; the dtype follows from the array's class. */
export interface HostArray {
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Values, row-major. */
  readonly data: TensorData;
}

/** What a compiled function is called with: arrays, numbers, and nothing for states. */
export type CallArguments = Readonly<Record<string, HostArray | number>>;

/** A tensor that stays on the device from call to call, zero at first. */
export interface StateSpec {
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Named buffers on a device, which programs share. */
export interface DeviceStates {
  /** Makes a state of zeros unless it is there. */
  ensure(name: string, bytes: number): unknown;
  /** Writes values into a state, for the runs that follow. */
  write(name: string, byteOffset: number, data: ArrayBufferView): void;
}

/** A program that a device has made ready. */
export interface DeviceProgram {
  /** Queues one execution with the values of its batch inputs and scalars, and returns at once. */
  run(
    inputs: { batch: Readonly<Record<string, TensorData>>; scalars: Readonly<Record<string, number>> },
  ): void;
  /** Reads outputs as the last execution left them. */
  readAll(outputs: readonly string[]): Promise<Record<string, TensorData>>;
}

/** What {@link compile} asks of a device. */
export interface Device<States extends DeviceStates = DeviceStates> {
  /** What programs for it are compiled for. */
  readonly capabilities: Capabilities;
  /** An empty set of states. */
  createStates(): States;
  /** Makes a program ready whose states are those. */
  load(program: Program, states: States): Promise<DeviceProgram>;
}

/** The states of a function: arrays are written before the first call, specs begin as zeros. */
export type StateSpecs = Readonly<Record<string, StateSpec | HostArray>>;

/** Options of {@link compile}. */
export interface JitOptions<States extends DeviceStates = DeviceStates> {
  /** Where it runs. */
  readonly device: Device<States>;
  /**
   * Tensors that live on the device; an output of the same name becomes the new value, in place. A compiled function
   * here stands for its states, which both then share: one trains, the other predicts with what was learned.
   */
  readonly state?: StateSpecs | Compiled<States>;
  /** `fused` by default. */
  readonly mode?: Mode;
  /** Name of the programs in messages. */
  readonly name?: string;
}

/** A function that runs on the device. */
export interface Compiled<States extends DeviceStates = DeviceStates> {
  /** Runs it and reads the outputs that are no states. */
  (args?: CallArguments): Promise<Record<string, TensorData>>;
  /**
   * Queues it and reads nothing, which saves the wait for the device: for steps whose loss nobody looks at. The promise
   * is that of compiling.
   */
  run(args?: CallArguments): Promise<void>;
  /** Outputs of the latest run, new values of states among them. */
  read(...outputs: string[]): Promise<Record<string, TensorData>>;
  /** What its states are. */
  readonly state: Readonly<Record<string, StateSpec>>;
  /** The states on the device. */
  readonly states: States;
  /** A stage of the program that was compiled last, as text; `groups` by default. */
  explain(stage?: Stage): string;
}

/**
 * Compiles `fn` for a device.
 *
 * @throws {BindingError} when a state's array does not fit its shape; at a call, when an argument is a state or the new
 *   value of a state has another type.
 * @throws {ShapeError} at a call whose shapes do not fit `fn`.
 * @example One step of gradient descent on a state
 * ```ts
 * import { compile, grad } from "./mod.ts";
 * import { openDevice } from "../runtime/mod.ts";
 *
 * const device = await openDevice();
 * const step = compile(({ w, x, y, rate }) => {
 *   const loss = x.matmul(w).sub(y).pow(2).mean();
 *   return { loss, w: w.sub(grad(loss, [w])[0].mul(rate)) };
 * }, { device, state: { w: { shape: [2, 1], dtype: "f32" } } });
 *
 * const x = { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) };
 * const y = { shape: [2, 1], data: Float32Array.of(3, -1) };
 * for (let i = 0; i < 99; i++) await step.run({ x, y, rate: 0.5 });
 * const { loss } = await step({ x, y, rate: 0.5 });
 * const { w } = await step.read("w");
 * console.assert(loss[0] < 1e-6 && Math.abs(w[0] - 3) < 1e-3);
 * device.destroy();
 * ```
 */
export function compile<States extends DeviceStates>(
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  options: JitOptions<States>,
): Compiled<States> {
  const { device, state: given = {}, mode = "fused", name = fn.name || "program" } = options;
  const shared = typeof given === "function" ? given as Compiled<States> : undefined;
  const state = shared?.state ?? specsOf(given as StateSpecs);
  const states = shared?.states ?? device.createStates();
  if (!shared) initialize(states, given as StateSpecs, name);
  const programs = new Map<string, Promise<Ready>>();
  let latest: Compilation | undefined;
  let ran: Ready | undefined;

  const build = async (args: CallArguments): Promise<Ready> => {
    const specs: Record<string, InputSpec> = {};
    for (const [key, { shape, dtype }] of Object.entries(state)) specs[key] = { shape, dtype, role: "state" };
    for (const [key, value] of Object.entries(args)) {
      if (key in state) {
        throw new BindingError(name, key, "is a state of this function: write it through `states`");
      }
      specs[key] = typeof value === "number"
        ? { shape: [], dtype: "f32", role: "scalar" }
        : { shape: value.shape, dtype: dtypeOf(value.data), role: "batch" };
    }
    const graph = trace(fn, specs);
    const outputs = graph.outputs.map((output) => {
      if (!(output.name in state)) return output;
      const { dtype, shape } = graph.nodes[output.node];
      const known = state[output.name];
      if (dtype !== known.dtype || shape.join() !== known.shape.join()) {
        const problem = `the state is ${known.dtype}[${known.shape}] but its new value ${dtype}[${shape}]`;
        throw new BindingError(name, output.name, problem);
      }
      return { ...output, donates: output.name };
    });
    latest = compileStages({ ...graph, outputs }, device.capabilities, { mode, name });
    const results = outputs.map((output) => output.name).filter((output) => !(output in state));
    return { program: await device.load(latest.program, states), results };
  };

  const run = async (args: CallArguments): Promise<Ready> => {
    const key = Object.entries(args).map(([arg, value]) =>
      typeof value === "number" ? `${arg}:number` : `${arg}:${dtypeOf(value.data)}[${value.shape}]`
    ).join(" ");
    let ready = programs.get(key);
    if (!ready) {
      ready = build(args);
      ready.catch(() => programs.delete(key));
      programs.set(key, ready);
    }
    const { program } = ran = await ready;
    const batch: Record<string, TensorData> = {};
    const scalars: Record<string, number> = {};
    for (const [arg, value] of Object.entries(args)) {
      if (typeof value === "number") scalars[arg] = value;
      else batch[arg] = value.data;
    }
    program.run({ batch, scalars });
    return ran;
  };

  const nothingYet = (what: string) =>
    new BindingError(name, what, "nothing was compiled yet: call the function first");

  const call = async (args: CallArguments = {}): Promise<Record<string, TensorData>> => {
    const { program, results } = await run(args);
    return await program.readAll(results);
  };

  return Object.assign(call, {
    state,
    states,
    async run(args: CallArguments = {}): Promise<void> {
      await run(args);
    },
    async read(...outputs: string[]): Promise<Record<string, TensorData>> {
      if (!ran) throw nothingYet("read");
      return await ran.program.readAll(outputs);
    },
    explain(stage: Stage = "groups"): string {
      if (!latest) throw nothingYet("explain");
      return explain(latest, stage);
    },
  });
}

/** A loaded program and those of its outputs that are no states. */
interface Ready {
  readonly program: DeviceProgram;
  readonly results: readonly string[];
}

function specsOf(given: StateSpecs): Record<string, StateSpec> {
  return Object.fromEntries(
    Object.entries(given).map(([name, spec]) => {
      const dtype = "data" in spec ? dtypeOf(spec.data) : spec.dtype;
      return [name, { shape: spec.shape, dtype }];
    }),
  );
}

/** Makes the states whose values are given; a program makes the others when it is loaded. */
function initialize(states: DeviceStates, given: StateSpecs, program: string): void {
  for (const [name, spec] of Object.entries(given)) {
    if (!("data" in spec)) continue;
    const { shape, data } = spec;
    if (data.length !== sizeOf(shape)) {
      const problem = `has shape [${shape.join(", ")}]: ${sizeOf(shape)} elements, not ${data.length}`;
      throw new BindingError(program, name, problem);
    }
    states.ensure(name, sizeOf(shape) * bytesPerElement(dtypeOf(data)));
    states.write(name, 0, data);
  }
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  return "f16";
}
