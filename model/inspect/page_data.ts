/**
 * What the page of a program shows, as plain data.
 *
 * @module
 */
import { type Compilation, printNode } from "../../compiler/mod.ts";
import type { LaunchTimes } from "./launch_times.ts";
import type { PageData, PageRoot, PageWork } from "./page/wire.d.ts";
import { ProgramIndex, type Work } from "./program_index.ts";

/** What is known besides the compilation. */
export interface PageFacts {
  readonly name: string;
  readonly target: string;
  readonly mode: string;
  readonly times?: LaunchTimes;
}

/** Collects the page's data; files that cannot be read are left out. */
export async function pageData(
  compilation: Compilation,
  { name, target, mode, times }: PageFacts,
): Promise<PageData> {
  const index = new ProgramIndex(compilation);
  const { program } = compilation;
  return {
    name,
    target,
    mode,
    nodes: index.nodes.map((node) => {
      const { id, op, inputs, origin: { scope, phase, site } } = node;
      const work = index.workOf(id)?.position ?? -1;
      const text = printNode(node);
      return {
        id,
        op,
        text,
        inputs: [...inputs],
        scope,
        phase,
        ...site && { site },
        work,
        stored: index.isStored(id),
      };
    }),
    works: index.works.map((work) => pageWork(index, work, times)),
    kernels: program.kernels.map(({ name, ir, wgsl, workgroupSize }) => ({
      name,
      ir,
      wgsl,
      workgroupSize: [...workgroupSize],
    })),
    roots: rootsOf(compilation, index),
    memory: { ...program.memory },
    files: await filesOf(compilation),
    ...times && { ceilings: times.ceilings },
  };
}

function pageWork(index: ProgramIndex, work: Work, times?: LaunchTimes): PageWork {
  const { program, fusion } = index.compilation;
  const [kernel = -1] = work.kernels;
  const dispatches = index.dispatches.slice(work.first, work.end);
  const ranges = (
    kind: "reads" | "writes",
  ) => [
    ...new Set(
      dispatches.flatMap((dispatch) => dispatch[kind]).map(({ buffer, offset, size }) =>
        `${program.buffers[buffer].name} ${offset}–${offset + size}`
      ),
    ),
  ];
  const group = fusion.groups.find(({ id }) => id === work.group);
  return {
    name: kernel < 0 ? "copy" : program.kernels[kernel].name,
    kind: group?.kind ?? "copy",
    kernel,
    launches: work.end - work.first,
    workgroups: [...dispatches[0]?.workgroups ?? []],
    ...index.costOf(work),
    nodes: [...index.nodesOf(work)],
    begins: work.group === undefined ? [] : index.reasonsInto(work.group),
    ends: work.group === undefined ? [] : index.reasonsOutOf(work.group),
    reads: ranges("reads"),
    writes: ranges("writes"),
    ...times && { ms: times.ms.slice(work.first, work.end).reduce((sum, each) => sum + each, 0) },
  };
}

function rootsOf({ placement, storage, order }: Compilation, index: ProgramIndex): PageRoot[] {
  const nodes = new Map<number, Set<number>>();
  order.forEach((id) => {
    for (const { node, homes } of storage.works[id].stores) {
      for (const { root } of homes) {
        const owner = placement.owner[root];
        nodes.set(owner, (nodes.get(owner) ?? new Set()).add(node));
      }
    }
  });
  return [...placement.lifetimes].map(([id, [first, last]]) => {
    const { name } = storage.roots[id];
    const { buffer, offset } = placement.at[id];
    const bytes = index.bytesOfRoot(id);
    return { name, first, last, buffer, offset, bytes, nodes: [...nodes.get(id) ?? []] };
  });
}

async function filesOf({ graph }: Compilation): Promise<Record<string, string>> {
  const paths = new Set(
    graph.nodes.flatMap(({ origin: { site } }) => site === undefined ? [] : [site.replace(/:\d+$/, "")]),
  );
  const files: Record<string, string> = {};
  for (const path of [...paths].sort()) {
    const text = await Deno.readTextFile(path).catch(() => undefined);
    if (text !== undefined) files[path] = text;
  }
  return files;
}
