/**
 * Finds the first kernel whose result differs between two compilations of the same graph, on the same inputs: two modes on
 * one device, or two adapters, of which one has written its values to a file. Values are compared in the order in which
 * they are computed; around the first that differs, float64 tells which side is wrong.
 *
 * @module
 */
import type { Compilation, NodeId } from "../../compiler/mod.ts";
import { printNode } from "../../compiler/print.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { type CheckedKernel, checkProgram, isWrong } from "./check.ts";
import { type Deviation, deviation, precisionOf } from "./compare.ts";
import { openOn, type StepValues } from "./step_values.ts";
import { storedKeys, type TracedValue, type TracedValues, traceValues } from "./trace_values.ts";

/** One of the two runs. */
export interface Side {
  /** What to call it: a mode, or the adapter that it ran on. */
  readonly label: string;
  /** What it stored. */
  readonly values: TracedValues;
  /** How it was compiled; absent where it ran elsewhere. */
  readonly compiled?: { readonly compilation: Compilation; readonly keys: ReadonlyMap<NodeId, string> };
}

/** A side that was compiled here. */
export type CompiledSide = Side & Required<Pick<Side, "compiled">>;

/** A value that the two sides do not agree on. */
export interface Difference {
  /** The node, as text. */
  readonly node: string;
  /** The module that it belongs to. */
  readonly scope: string;
  /** The line of source that it comes from. */
  readonly site?: string;
  /** How far apart they are; `expected` is the other side's. */
  readonly deviation: Deviation;
  /** The kernel that stored it on this side. */
  readonly mine: TracedValue;
  /** And on the other. */
  readonly theirs: TracedValue;
}

/** What a bisection found. */
export interface Bisection {
  /** Name of this side. */
  readonly mine: string;
  /** Name of the other side. */
  readonly theirs: string;
  /** Values that both store. */
  readonly compared: number;
  /** Of these, values that differ. */
  readonly different: number;
  /** The first that differs; absent where none does. */
  readonly first?: Difference;
  /** Kernels around it that float64 refutes, by side; in the order of execution. */
  readonly wrong: readonly { readonly label: string; readonly kernel: CheckedKernel }[];
}

/**
 * Rounding adds up from kernel to kernel: a difference counts when it is this many times what one kernel may do. Halves
 * are allowed so much for one kernel that less is left to add.
 */
const DRIFT = { f32: 20, f16: 3, bf16: 3 };

/** Compiles, runs and reads one side. */
export async function runSide(
  device: GpuDevice,
  label: string,
  compilation: Compilation,
  values: StepValues,
): Promise<CompiledSide> {
  const keys = storedKeys(compilation);
  using opened = await openOn(device, compilation, values);
  const traced = await traceValues(opened.loaded, compilation, values, keys);
  return { label, values: traced, compiled: { compilation, keys } };
}

/**
 * Compares two sides; `mine` was compiled here.
 *
 * @throws {GpuError} when the device fails while kernels are checked.
 */
export async function bisect(
  device: GpuDevice,
  mine: CompiledSide,
  theirs: Side,
  values: StepValues,
): Promise<Bisection> {
  const { compilation, keys } = mine.compiled;
  const nodes = new Map([...keys].map(([node, key]) => [key, compilation.simplified.nodes[node]]));
  const precision = precisionOf(compilation.simplified);
  const agreed = new Set<string>();
  let first: (Difference & { readonly key: string }) | undefined;
  let [compared, different] = [0, 0];
  for (const [key, value] of mine.values) {
    const other = theirs.values.get(key);
    if (!other) continue;
    compared++;
    const found = deviationOf(value, other, precision);
    if (found.excess <= 1) {
      agreed.add(key);
      continue;
    }
    different++;
    const node = nodes.get(key)!;
    const { scope, site } = node.origin;
    first ??= {
      key,
      node: printNode(node),
      scope,
      ...site === undefined ? {} : { site },
      deviation: found,
      mine: value,
      theirs: other,
    };
  }
  const report = { mine: mine.label, theirs: theirs.label, compared, different };
  if (!first) return { ...report, wrong: [] };
  const wrong: { label: string; kernel: CheckedKernel }[] = [];
  for (const side of [mine, theirs]) {
    if (!side.compiled) continue;
    for (const kernel of await refuted(device, side.compiled, first.key, agreed, values)) {
      wrong.push({ label: side.label, kernel });
    }
  }
  const { key: _, ...difference } = first;
  return { ...report, first: difference, wrong };
}

function deviationOf(
  { dtype, data, stride }: TracedValue,
  theirs: TracedValue,
  precision: keyof typeof DRIFT,
): Deviation {
  const found = deviation(data, theirs.data, { dtype, precision });
  return { ...found, excess: found.excess / DRIFT[precision], element: found.element * stride };
}

/** The kernels between the values that agree and the one that does not which float64 finds wrong. */
async function refuted(
  device: GpuDevice,
  { compilation, keys }: CompiledSide["compiled"],
  key: string,
  agreed: ReadonlySet<string>,
  values: StepValues,
): Promise<CheckedKernel[]> {
  const only = suspects(compilation, keys, key, agreed);
  using opened = await openOn(device, compilation, values);
  const { kernels } = await checkProgram(opened.loaded, compilation, values, { only });
  return kernels.filter(isWrong).sort((a, b) => a.position - b.position);
}

/** Positions of the kernels that compute what a value needs, as far back as values agree. */
function suspects(
  { simplified, storage, order }: Compilation,
  keys: ReadonlyMap<NodeId, string>,
  key: string,
  agreed: ReadonlySet<string>,
): Set<number> {
  const seen = new Set<NodeId>();
  const stack = [...keys].filter(([, other]) => other === key).map(([node]) => node);
  while (stack.length > 0) {
    const id = stack.pop()!;
    if (seen.has(id) || agreed.has(keys.get(id) ?? "")) continue;
    seen.add(id);
    stack.push(...simplified.nodes[id].inputs);
  }
  const positions = order.map((_, position) => position);
  return new Set(
    positions.filter((position) => storage.works[order[position]].stores.some(({ node }) => seen.has(node))),
  );
}
