/**
 * A whole compilation as plain data: what the inspector prints and a viewer draws. Every stage is the text that
 * `deno task inspect` shows; groups, kernels and launches are there as data besides.
 *
 * @module
 */
import type { Compilation } from "./compile.ts";
import { explain, STAGES } from "./explain.ts";
import { printNode } from "./print.ts";
import type { BufferPlan, BufferRange, KernelSource, MemoryPlan, Recomputation } from "./program.ts";
import { rootBytes } from "./storage.ts";

/** Ops that share a kernel. */
export interface ReportedGroup {
  /** Named by launches. */
  readonly id: number;
  /** Which generator its kernel comes from. */
  readonly kind: string;
  /** The ops in short. */
  readonly title: string;
  /** Modules that the ops belong to, such as `h.3.mlp.c_fc`. */
  readonly scopes: readonly string[];
  /** `forward`, `backward` or `optimizer`: that of the first op. */
  readonly phase: string;
  /** Every op as text, with the line of the user's program that it comes from where that is known. */
  readonly nodes: readonly string[];
  /** Why it does not reach further towards what it reads. */
  readonly reasons: readonly string[];
}

/** One kernel launch. */
export interface ReportedDispatch {
  /** Place in `kernels`. */
  readonly kernel: number;
  /** Id of a group; -1 for a copy. */
  readonly group: number;
  /** Bytes that it moves. */
  readonly bytes: number;
  /** Floating-point operations. */
  readonly flops: number;
  /** Workgroups in each dimension. */
  readonly workgroups: readonly number[];
  /** Ranges of buffers that it reads. */
  readonly reads: readonly BufferRange[];
  /** Ranges of buffers that it writes. */
  readonly writes: readonly BufferRange[];
}

/** A program with every stage of its compilation. */
export interface ProgramReport {
  /** Equal hashes mean equal programs. */
  readonly hash: string;
  /** Name in listings. */
  readonly name: string;
  /** Text by stage, in the order of the pipeline; those of the kernels are with the kernels. */
  readonly stages: Readonly<Record<string, string>>;
  /** The fuser's groups. */
  readonly groups: readonly ReportedGroup[];
  /** Kernels with their Kernel IR and WGSL. */
  readonly kernels: readonly KernelSource[];
  /** Launches in the order in which they run. */
  readonly dispatches: readonly ReportedDispatch[];
  /** Buffers that ranges name. */
  readonly buffers: readonly BufferPlan[];
  /** What it holds in memory; `peakBytes` is in it. */
  readonly memory: MemoryPlan;
  /** The same as `memory.peakBytes`. */
  readonly peakBytes: number;
  /** How it was fitted into a budget; absent where none was given. */
  readonly recomputation?: Recomputation;
  /** Milliseconds of each compiler stage. */
  readonly compileMs: Readonly<Record<string, number>>;
}

/** Kernels carry these themselves. */
const WITH_KERNELS: readonly string[] = ["kernels", "wgsl"];

/**
 * The report of a compilation.
 *
 * @example
 * ```ts
 * import { BASELINE, compileStages, reportOf, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.exp() }), { x: { shape: [3], dtype: "f32", role: "batch" } });
 * const report = reportOf(compileStages(graph, BASELINE));
 * console.log(JSON.stringify(report.groups), report.peakBytes);
 * ```
 */
export function reportOf(compilation: Compilation): ProgramReport {
  const { program } = compilation;
  const { hash, name, kernels, buffers, memory, recomputation, compileMs } = program;
  const stages = STAGES.filter((stage) => !WITH_KERNELS.includes(stage));
  return {
    hash,
    name,
    stages: Object.fromEntries(stages.map((stage) => [stage, explain(compilation, stage)])),
    groups: groupsOf(compilation),
    kernels,
    dispatches: reportDispatches(compilation),
    buffers,
    memory,
    peakBytes: memory.peakBytes,
    ...recomputation === undefined ? {} : { recomputation },
    compileMs,
  };
}

function groupsOf({ fusion, kernels, order, storage }: Compilation): ReportedGroup[] {
  const { graph, groups, boundaries, groupOf } = fusion;
  const titles = new Map(order.map((id, position) => [storage.works[id].group?.id, kernels[position].title]));
  return groups.map(({ id, kind, nodes }) => {
    const { origin: { phase } } = graph.nodes[nodes[0]];
    return {
      id,
      kind,
      title: titles.get(id) ?? kind,
      scopes: [
        ...new Set(nodes.map((node) => graph.nodes[node].origin.scope).filter((scope) => scope !== "")),
      ],
      phase,
      nodes: nodes.map((node) => {
        const { origin: { site } } = graph.nodes[node];
        return `${printNode(graph.nodes[node])}${site === undefined ? "" : `   // ${site}`}`;
      }),
      reasons: boundaries.filter(({ consumer }) => groupOf[consumer] === id).map((
        { producer, consumer, reason },
      ) => `%${producer} ${graph.nodes[producer].op} -> %${consumer} ${graph.nodes[consumer].op}: ${reason}`),
    };
  });
}

/** A part of a buffer, in bytes: those from `start` on, up to `end`. */
interface Span {
  readonly buffer: number;
  readonly start: number;
  readonly end: number;
}

/**
 * The launches of a program, with what each reads and writes. Bindings say what a kernel may do; what it does is what its Kernel IR
 * loads and stores. A range that is updated in place is both read and written.
 */
export function reportDispatches(
  { program, kernels, order, storage, placement }: Compilation,
): ReportedDispatch[] {
  const spanOf = (tensor: number): Span => {
    const owner = placement.owner[tensor];
    const { buffer, offset } = placement.at[owner];
    return { buffer, start: offset, end: offset + rootBytes(storage.roots[owner]) };
  };
  const loaded = new Map<number, Span[]>();
  const stored = new Map<number, Span[]>();
  const note = (spans: Map<number, Span[]>, group: number, tensors: readonly number[]) =>
    spans.set(group, [...spans.get(group) ?? [], ...tensors.map(spanOf)]);
  order.forEach((id, position) => {
    const group = storage.works[id].group?.id ?? -1;
    const { body, operands } = kernels[position];
    const bodies = [body, ...Object.values(operands).map((operand) => operand.body)];
    const loads = bodies.flatMap(({ instructions }) => instructions).filter(({ kind }) => kind === "load");
    note(loaded, group, loads.flatMap((load) => "tensor" in load ? [load.tensor] : []));
    note(stored, group, body.stores.map(({ tensor }) => tensor));
  });
  return program.dispatches.map(({ kernel, group, bytes, flops, workgroups, ranges }) => {
    const { bindings } = program.kernels[kernel];
    const bound = ranges.map((range, i) => ({ range, binding: bindings[i] })).filter(({ binding }) =>
      binding !== "uniform"
    );
    const touches = (spans: Map<number, Span[]>, { buffer, offset, size }: BufferRange) =>
      (spans.get(group) ?? []).some((span) =>
        span.buffer === buffer && span.start < offset + size && offset < span.end
      );
    const isWritten = ({ range, binding }: typeof bound[number]) =>
      binding === "read_write" && touches(stored, range);
    return {
      kernel,
      group,
      bytes,
      flops,
      workgroups,
      reads: bound.filter((one) => !isWritten(one) || touches(loaded, one.range)).map(({ range }) => range),
      writes: bound.filter(isWritten).map(({ range }) => range),
    };
  });
}
