/**
 * Every value that a program stores on its way, by a key that holds in other modes and on other adapters: what two runs are
 * compared by. Large values are thinned out evenly, the same way everywhere.
 *
 * @module
 */
import { type Compilation, type DType, isFloat, type NodeId } from "../../compiler/mod.ts";
import { isolate, type IsolatedKernel } from "../../compiler/isolate.ts";
import { valueKeys } from "../../compiler/value_keys.ts";
import type { LoadedProgram, RunInputs } from "../../runtime/mod.ts";
import { readPlaces } from "../../runtime/values_at.ts";
import { kernelName } from "./check.ts";

/** A value as one run stored it. */
export interface TracedValue {
  /** Name of the kernel that stored it. */
  readonly kernel: string;
  /** Position of that kernel in the order of execution. */
  readonly position: number;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Elements, of a large value some: numbers 0, s, 2s, ... */
  readonly data: Float32Array<ArrayBuffer>;
  /** The s. */
  readonly stride: number;
}

/** What one run stored, by key, in the order in which it was stored. */
export type TracedValues = ReadonlyMap<string, TracedValue>;

/** Of a larger value no more elements than this are kept. */
const MOST_ELEMENTS = 2 ** 18;

/** The nodes that a program stores, with their keys. */
export function storedKeys(compilation: Compilation): Map<NodeId, string> {
  const { storage, order, simplified } = compilation;
  const ids = order.flatMap((id) => storage.works[id].stores.map(({ node }) => node));
  return valueKeys(simplified, [...new Set(ids)]);
}

/**
 * Runs a program kernel by kernel and keeps what it stores.
 *
 * @param keys Of the nodes whose values are wanted.
 * @throws {GpuError} when the device fails.
 */
export async function traceValues(
  loaded: LoadedProgram,
  compilation: Compilation,
  inputs: RunInputs,
  keys: ReadonlyMap<NodeId, string>,
): Promise<TracedValues> {
  loaded.upload(inputs);
  const values = new Map<string, TracedValue>();
  for (let position = 0; position < compilation.order.length; position++) {
    const isolated = isolate(compilation, position);
    await loaded.runSome(...isolated.launches);
    await read(loaded, compilation, isolated, keys, values);
  }
  return values;
}

async function read(
  loaded: LoadedProgram,
  { simplified }: Compilation,
  isolated: IsolatedKernel,
  keys: ReadonlyMap<NodeId, string>,
  values: Map<string, TracedValue>,
): Promise<void> {
  const wanted = isolated.stores.filter(({ node }) => keys.has(node) && !values.has(keys.get(node)!));
  if (wanted.length === 0) return;
  const kernel = kernelName(loaded, isolated);
  const stored = await readPlaces(loaded, wanted.map(({ places }) => places[0]));
  wanted.forEach(({ node }, i) => {
    const { dtype } = simplified.nodes[node];
    const stride = Math.ceil(stored[i].length / MOST_ELEMENTS);
    const data = new Float32Array(Math.ceil(stored[i].length / stride));
    // Words of random bits have more digits than f32: their lower half tells as much.
    const fold = isFloat(dtype) ? (value: number) => value : (value: number) => value % 2 ** 20;
    for (let n = 0; n < data.length; n++) data[n] = fold(stored[i][n * stride]);
    values.set(keys.get(node)!, { kernel, position: isolated.position, dtype, data, stride });
  });
}
