/**
 * Check mode: runs a program one kernel at a time and holds every stored value against the float64 reference. A kernel's
 * inputs are read from the device just before it runs, so the error of one kernel never counts for those after it; a wrong
 * kernel is named even where everything downstream is wrong because of it.
 *
 * @module
 */
import { type Compilation, type Graph, sizeOf } from "../../compiler/mod.ts";
import { printNode } from "../../compiler/print.ts";
import { isolate, type IsolatedKernel } from "../../compiler/isolate.ts";
import type { LoadedProgram, RunInputs } from "../../runtime/mod.ts";
import { compareWithReference, type Deviation, precisionOf } from "./compare.ts";
import { excerptOf, type Focus } from "./excerpt.ts";
import { type KernelRun, type NamedValues, type Stray, walk } from "./walk.ts";

/** One kernel's farthest value. */
export interface CheckedKernel {
  /** Position in the order of execution. */
  readonly position: number;
  /** Name of its WGSL entry point. */
  readonly kernel: string;
  /** Title of its Kernel IR. */
  readonly title: string;
  /** The stored node that is farthest from float64, as text. */
  readonly node: string;
  /** The module that the node belongs to. */
  readonly scope: string;
  /** The line of source that the node comes from. */
  readonly site?: string;
  /** How far it is. */
  readonly deviation: Deviation;
  /** Share of the stored elements that was compared, at most 1. */
  readonly share: number;
  /** Names of loaded values that hold numbers that are not finite: the kernel before is to blame for those. */
  readonly notFinite: readonly string[];
  /** Memory that it changed where it stores nothing; absent where there is none. */
  readonly stray?: Stray;
}

/** A kernel that was run but not checked, because single elements of its results take too long. */
export interface SkippedKernel {
  /** Position in the order of execution. */
  readonly position: number;
  /** Name of its WGSL entry point. */
  readonly kernel: string;
}

/** What a check found. */
export interface CheckReport {
  /** Name of the program. */
  readonly program: string;
  /** Checked kernels, the largest errors first. */
  readonly kernels: readonly CheckedKernel[];
  /** Kernels that would have taken too long. */
  readonly skipped: readonly SkippedKernel[];
  /** Milliseconds that it took. */
  readonly ms: number;
}

/** How to check. */
export interface CheckOptions {
  /**
   * Seconds that the reference may take for one kernel; 0.5 by default. Of kernels that seem to need longer only parts of
   * the results are compared, and those of which single elements take longer are skipped.
   */
  readonly limit?: number;
  /** Positions to check; all by default. The others run all the same. */
  readonly only?: ReadonlySet<number>;
  /** Is told of every kernel as it is done. */
  readonly onProgress?: (done: number, of: number) => void;
}

const LIMIT_SECONDS = 0.5;

/**
 * Runs a program once on a step's inputs, kernel by kernel, and checks every kernel.
 *
 * @param loaded The program, on a device, with its states filled.
 * @param compilation All stages of its compilation; the program's own texts may be others.
 * @throws {BindingError} when an input is missing or does not fit.
 * @throws {GpuError} when the device fails.
 */
export async function checkProgram(
  loaded: LoadedProgram,
  compilation: Compilation,
  inputs: RunInputs,
  { limit = LIMIT_SECONDS, only, onProgress }: CheckOptions = {},
): Promise<CheckReport> {
  const started = performance.now();
  const positions = compilation.order.map((_, position) => position).filter((each) =>
    only?.has(each) ?? true
  );
  loaded.upload(inputs);
  const kernels: CheckedKernel[] = [];
  const skipped: SkippedKernel[] = [];
  let done = 0;
  for await (const [isolated, run] of walk(loaded, isolatedAt(compilation, positions))) {
    const given = { ...run.given, ...scalarsOf(isolated.graph, inputs.scalars ?? {}) };
    const kernel = kernelName(loaded, isolated);
    const checked = judge(compilation, isolated, kernel, { ...run, given }, limit);
    if (checked) kernels.push(checked);
    else skipped.push({ position: isolated.position, kernel });
    onProgress?.(++done, positions.length);
  }
  kernels.sort((a, b) =>
    Number(isWrong(b)) - Number(isWrong(a)) || rank(b.deviation) - rank(a.deviation) ||
    a.position - b.position
  );
  return { program: loaded.program.name, kernels, skipped, ms: performance.now() - started };
}

/** One at a time: the places of scattered values take memory. */
function* isolatedAt(compilation: Compilation, positions: readonly number[]): Generator<IsolatedKernel> {
  for (const position of positions) yield isolate(compilation, position);
}

/** True for an error that rounding does not explain, and for changes where nothing is stored. */
export function isWrong({ deviation, stray }: CheckedKernel): boolean {
  return deviation.excess > 1 || stray !== undefined;
}

/** Name of a kernel; one that was cut into windows has several, of which this is the first. */
export function kernelName({ program }: LoadedProgram, { launches: [first] }: IsolatedKernel): string {
  return program.kernels[program.dispatches[first].kernel].name;
}

function judge(
  { simplified }: Compilation,
  { position, title, graph, loads, stores }: IsolatedKernel,
  kernel: string,
  { given, stored, stray }: KernelRun,
  limit: number,
): CheckedKernel | undefined {
  const excerpt = excerptOf(graph, limit, firstNaN(stored[0]));
  if (!excerpt) return undefined;
  const comparison = { excerpt, precision: precisionOf(graph) };
  let worst: { readonly name: string; readonly deviation: Deviation } | undefined;
  for (const copy of stored) {
    for (const [name, deviation] of Object.entries(compareWithReference(comparison, given, copy))) {
      if (!worst || rank(deviation) > rank(worst.deviation)) worst = { name, deviation };
    }
  }
  const { name, deviation } = worst!;
  const node = simplified.nodes[stores.find((store) => store.name === name)!.node];
  const { scope, site } = node.origin;
  const notFinite = loads.filter((load) =>
    firstWhere(given[load.name], (value) => !Number.isFinite(value)) >= 0
  );
  return {
    position,
    kernel,
    title,
    node: printNode(node),
    scope,
    ...site === undefined ? {} : { site },
    deviation,
    share: deviation.elements / sizeOf(node.shape),
    notFinite: notFinite.map((load) => load.name),
    ...stray && { stray },
  };
}

/** Where stored values are not numbers, which is how memory looks that a kernel should have written and did not. */
function firstNaN(stored: NamedValues): Focus {
  const found = Object.entries(stored).map(([name, values]) =>
    [name, firstWhere(values, Number.isNaN)] as const
  );
  return Object.fromEntries(found.filter(([, element]) => element >= 0));
}

/** As `findIndex`, which takes ten times as long for a large array. */
function firstWhere(values: Float64Array, is: (value: number) => boolean): number {
  for (let i = 0; i < values.length; i++) if (is(values[i])) return i;
  return -1;
}

/** Order of deviations: by what rounding does not explain, then by size. */
function rank({ excess, relative }: Deviation): number {
  return excess === Infinity ? Infinity : excess + 1e-9 * relative;
}

/** The scalars that a graph reads, as the device has them. */
function scalarsOf({ nodes }: Graph, scalars: Readonly<Record<string, number>>): NamedValues {
  const read = nodes.filter(({ op, attrs }) => op === "input" && attrs.role === "scalar");
  return Object.fromEntries(read.map(({ attrs, dtype }) => {
    const name = attrs.name as string;
    return [name, Float64Array.of(dtype === "f32" ? Math.fround(scalars[name]) : scalars[name])];
  }));
}
