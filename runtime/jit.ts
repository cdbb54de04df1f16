/**
 * `compile(fn, { device })`: the shortest way from a function over tensors to running kernels. The function is traced at
 * the first call for each combination of shapes; numbers among the arguments become scalars of the program, so that
 * changing them never compiles again. Tensors named in `state` stay on the device between calls.
 *
 * @module
 */
import type { DType } from "../compiler/dtype.ts";
import type { Mode } from "../compiler/fusion.ts";
import { type Compilation, compileStages } from "../compiler/compile.ts";
import { explain, type Stage } from "../compiler/explain.ts";
import type { Tensor } from "../compiler/tensor.ts";
import { type InputSpec, trace } from "../compiler/trace.ts";
import type { GpuDevice } from "./device.ts";
import { BindingError } from "./errors.ts";
import type { LoadedProgram } from "./execute.ts";
import type { StateStore } from "./state.ts";
import type { TensorData } from "./values.ts";

/** An array with its shape; the dtype follows from the array's class. */
export interface HostArray {
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Values, row-major. */
  readonly data: TensorData;
}

/** What a compiled function is called with: arrays, numbers, and nothing for states. */
export type CallArguments = Readonly<Record<string, HostArray | number>>;

/** A tensor that stays on the device from call to call. */
export interface StateSpec {
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Options of {@link compile}. */
export interface JitOptions {
  /** Where it runs. */
  readonly device: GpuDevice;
  /** Tensors that live on the device, zero at first; an output of the same name becomes the new value, in place. */
  readonly state?: Readonly<Record<string, StateSpec>>;
  /** `fused` by default. */
  readonly mode?: Mode;
  /** Name of the programs in messages. */
  readonly name?: string;
}

/** A function that runs on the device. */
export interface Compiled {
  /** Runs it and reads the outputs that are no states. */
  (args: CallArguments): Promise<Record<string, TensorData>>;
  /** The states, to be written before the first call or read afterwards. */
  readonly states: StateStore;
  /** A stage of the program that was compiled last, as text; `groups` by default. */
  explain(stage?: Stage): string;
}

/**
 * Compiles `fn` for a device.
 *
 * @throws {ShapeError} at a call whose shapes do not fit `fn`.
 * @example
 * ```ts ignore
 * const double = compile(({ x, scale }) => ({ y: x.mul(scale) }), { device });
 * const { y } = await double({ x: { shape: [3], data: Float32Array.of(1, 2, 3) }, scale: 2 });
 * ```
 */
export function compile(
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  { device, state = {}, mode = "fused", name = fn.name || "program" }: JitOptions,
): Compiled {
  const programs = new Map<string, Promise<LoadedProgram>>();
  const states = device.createStates();
  let latest: Compilation | undefined;

  const build = (args: CallArguments): Promise<LoadedProgram> => {
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
    const outputs = graph.outputs.map((output) =>
      output.name in state ? { ...output, donates: output.name } : output
    );
    latest = compileStages({ ...graph, outputs }, device.capabilities, { mode, name });
    return device.load(latest.program, states);
  };

  const call = async (args: CallArguments): Promise<Record<string, TensorData>> => {
    const key = Object.entries(args).map(([arg, value]) =>
      typeof value === "number" ? `${arg}:number` : `${arg}:${dtypeOf(value.data)}[${value.shape}]`
    ).join(" ");
    let program = programs.get(key);
    if (!program) programs.set(key, program = build(args));
    const loaded = await program;
    const batch: Record<string, TensorData> = {};
    const scalars: Record<string, number> = {};
    for (const [arg, value] of Object.entries(args)) {
      if (typeof value === "number") scalars[arg] = value;
      else batch[arg] = value.data;
    }
    loaded.run({ batch, scalars });
    return await loaded.readAll(
      loaded.program.outputs.map((output) => output.name).filter((output) => !(output in state)),
    );
  };

  return Object.assign(call, {
    states,
    explain(stage: Stage = "groups"): string {
      if (!latest) {
        throw new BindingError(name, "explain", "nothing was compiled yet: call the function first");
      }
      return explain(latest, stage);
    },
  });
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  return "f16";
}
