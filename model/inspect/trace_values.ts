/**
 * Every value that a program stores on its way, by a key that holds in other modes and on other adapters: what two runs are
 * compared by. Large values are thinned out evenly, the same way everywhere.
 *
 * @module
 */
import { type Compilation, type DType, isFloat, type NodeId } from "../../compiler/mod.ts";
import { isolate } from "../../compiler/isolate.ts";
import { valueKeys } from "../../compiler/value_keys.ts";
import type { LoadedProgram, RunInputs } from "../../runtime/mod.ts";
import { Gathering, readPlaces } from "../../runtime/values_at.ts";
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
  using gathering = new Gathering(loaded);
  let wanted: Wanted[] = [];
  const take = (given: readonly Wanted[], stored: readonly Float64Array[]) =>
    given.forEach(({ key, ...facts }, i) =>
      values.set(key, { ...facts, ...thinned(stored[i], facts.dtype) })
    );
  for (let position = 0; position < compilation.order.length; position++) {
    const isolated = isolate(compilation, position);
    const kernel = kernelName(loaded, isolated);
    const stored = isolated.stores.filter(({ node }) => keys.has(node));
    const own = stored.map(({ node }): Wanted => {
      return { key: keys.get(node)!, kernel, position, dtype: compilation.simplified.nodes[node].dtype };
    });
    const places = stored.map(({ places }) => places[0]);
    if (!gathering.hasRoomFor(places)) {
      take(wanted, await gathering.read());
      wanted = [];
    }
    await loaded.runSome(...isolated.launches);
    if (gathering.hasRoomFor(places)) {
      gathering.add(places);
      wanted.push(...own);
    } else take(own, await readPlaces(loaded, places));
  }
  take(wanted, await gathering.read());
  return values;
}

type Wanted = Omit<TracedValue, "data" | "stride"> & { readonly key: string };

function thinned(stored: Float64Array, dtype: DType): Pick<TracedValue, "data" | "stride"> {
  const stride = Math.ceil(stored.length / MOST_ELEMENTS);
  const data = new Float32Array(Math.ceil(stored.length / stride));
  // Words of random bits have more digits than f32: their lower half tells as much.
  const fold = isFloat(dtype) ? (value: number) => value : (value: number) => value % 2 ** 20;
  for (let n = 0; n < data.length; n++) data[n] = fold(stored[n * stride]);
  return { data, stride };
}
