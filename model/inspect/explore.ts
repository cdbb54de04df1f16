/**
 * Follows one part of a program: a node to its kernel, a kernel to its nodes and lines, a line of the model to the nodes and kernels
 * that it became. Results are plain data; `explore_text.ts` writes them for people.
 *
 * @module
 */
import {
  type BufferPlan,
  type Compilation,
  type Node,
  type NodeId,
  printNode,
  type Schedule,
} from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";
import { ProgramIndex, type Work } from "./program_index.ts";
import { findKernel } from "./replace_kernel.ts";

/** A node in a list. */
export interface NodeLine {
  readonly id: NodeId;
  /** As listings have it. */
  readonly text: string;
  readonly scope: string;
  readonly phase: string;
  readonly site?: string;
  /** Whether its values reach memory. */
  readonly isStored: boolean;
}

/** A kernel in a list. */
export interface KernelLine {
  /** Its number among the program's kernels. */
  readonly kernel: number;
  readonly name: string;
  /** Place in the order of execution. */
  readonly position: number;
  readonly bytes: number;
  readonly flops: number;
}

/** What became of a node. */
export interface NodeView {
  readonly node: NodeLine;
  readonly inputs: readonly NodeLine[];
  readonly readers: readonly NodeLine[];
  /** The kernel that computes it; absent for views, leaves and what is computed again where it is read. */
  readonly computedBy?: KernelLine;
  /** Kernels that compute it where they read it, if no kernel has it for its own. */
  readonly computedIn: readonly KernelLine[];
  /** Why it passes through memory, if it does. */
  readonly reasons: readonly string[];
}

/** What a kernel is. */
export interface KernelView {
  readonly kernel: number;
  readonly name: string;
  readonly ir: string;
  readonly wgsl: string;
  readonly workgroupSize: readonly number[];
  /** Its schedule, where it could be cut in other ways. */
  readonly schedule?: string;
  readonly launches: readonly Launch[];
}

/** One time that a kernel runs. */
export interface Launch {
  readonly position: number;
  readonly workgroups: readonly number[];
  readonly bytes: number;
  readonly flops: number;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly nodes: readonly NodeLine[];
  /** Why it begins where it does. */
  readonly begins: readonly string[];
  /** Why it ends where it does. */
  readonly ends: readonly string[];
}

/** What became of a line of source. */
export interface SourceView {
  readonly site: string;
  /** The line itself, where the file can be read. */
  readonly text?: string;
  /** Nodes of the traced graph. */
  readonly traced: readonly NodeLine[];
  /** Nodes of the simplified graph. */
  readonly nodes: readonly NodeLine[];
  readonly kernels: readonly KernelLine[];
}

/**
 * Looks at a node of the simplified graph.
 *
 * @param wanted Its number, with `%` in front or without.
 * @throws {InputError} when there is none.
 */
export function viewNode(compilation: Compilation, wanted: string): NodeView {
  const index = new ProgramIndex(compilation);
  const id = /^%?\d+$/.test(wanted) ? Number(wanted.replace("%", "")) : NaN;
  const node = index.nodes[id];
  if (!node) {
    const most = index.nodes.length - 1;
    throw new InputError(
      `--node ${wanted}`,
      "there is no such node",
      `give a number from 0 to ${most}; --stage simplified lists them`,
    );
  }
  const line = (id: NodeId) => nodeLine(index, index.nodes[id]);
  const work = index.workOf(id);
  const { boundaries } = compilation.fusion;
  return {
    node: line(id),
    inputs: node.inputs.map(line),
    readers: index.readersOf(id).map(line),
    ...work && { computedBy: kernelLine(index, work) },
    computedIn: work ? [] : index.worksReading(id).map((each) => kernelLine(index, each)),
    reasons: [...new Set(boundaries.filter(({ producer }) => producer === id).map(({ reason }) => reason))],
  };
}

/**
 * Looks at a kernel.
 *
 * @param wanted Its name, a part of it that no other has, or its number.
 * @throws {InputError} when there is none, or more than one.
 */
export function viewKernel(compilation: Compilation, wanted: string): KernelView {
  const index = new ProgramIndex(compilation);
  const kernel = findKernel(compilation, wanted, "--kernel");
  const { name, ir, wgsl, workgroupSize, template } = compilation.program.kernels[kernel];
  const launches = index.worksOfKernel(kernel).map((work) => launchOf(index, work));
  return {
    kernel,
    name,
    ir,
    wgsl,
    workgroupSize,
    ...template && { schedule: scheduleWords(template.schedule) },
    launches,
  };
}

function launchOf(index: ProgramIndex, work: Work): Launch {
  const dispatches = index.dispatches.slice(work.first, work.end);
  const touched = (kind: "reads" | "writes") => {
    const { buffers } = index.compilation.program;
    const found = dispatches.flatMap((dispatch) => dispatch[kind])
      .map(({ buffer, offset, size }) => `${bufferName(buffers[buffer])}[${offset}..${offset + size})`);
    return [...new Set(found)];
  };
  const nodes = index.nodesOf(work);
  return {
    position: work.position,
    workgroups: dispatches[0]?.workgroups ?? [],
    ...index.costOf(work),
    reads: touched("reads"),
    writes: touched("writes"),
    nodes: nodes.map((id) => nodeLine(index, index.nodes[id])),
    begins: work.group === undefined ? [] : index.reasonsInto(work.group),
    ends: work.group === undefined ? [] : index.reasonsOutOf(work.group),
  };
}

/** `8 band, 4 depthStep`: what a schedule says, without quotes and brackets. */
function scheduleWords(schedule: Schedule): string {
  return Object.entries(schedule).map(([name, value]) => `${name} ${value}`).join(", ");
}

function bufferName({ kind, name }: BufferPlan): string {
  return kind === name ? name : `${kind} ${name}`;
}

/**
 * Looks at a line of the model's source.
 *
 * @param wanted `gpt2.ts:88` or any longer path; a number alone is a line of the file that most nodes are from.
 * @throws {InputError} when no node is from there, with lines that nodes are from.
 */
export async function viewSource(compilation: Compilation, wanted: string): Promise<SourceView> {
  const index = new ProgramIndex(compilation);
  const sites = new Set(
    compilation.graph.nodes.flatMap(({ origin: { site } }) => site === undefined ? [] : [site]),
  );
  const site = findSite(compilation.graph.nodes, sites, wanted);
  const isThere = ({ origin }: Node) => origin.site === site;
  const nodes = index.nodes.filter(isThere);
  const works = new Set(nodes.flatMap(({ id }) => {
    const own = index.workOf(id);
    return own ? [own] : index.worksReading(id);
  }));
  const text = await sourceLine(site);
  return {
    site,
    ...text !== undefined && { text },
    traced: compilation.graph.nodes.filter(isThere).map((node) => nodeLine(undefined, node)),
    nodes: nodes.map((node) => nodeLine(index, node)),
    kernels: [...works].sort((a, b) => a.position - b.position).map((work) => kernelLine(index, work)),
  };
}

function findSite(nodes: readonly Node[], sites: ReadonlySet<string>, wanted: string): string {
  const full = /^\d+$/.test(wanted) ? `${mainFile(nodes)}:${wanted}` : wanted;
  const found = [...sites].filter((site) => site === full || site.endsWith(`/${full}`));
  if (found.length === 1) return found[0];
  const [file, line] = full.split(/:(?=\d+$)/);
  const near = [...sites].filter((site) => site.split(":")[0].endsWith(file))
    .sort((a, b) => Math.abs(lineOf(a) - Number(line)) - Math.abs(lineOf(b) - Number(line)));
  const known = (found.length > 1 ? found : near.length > 0 ? near : [...sites]).slice(0, 5);
  throw new InputError(
    `--source ${wanted}`,
    found.length > 1 ? "several files have such a line" : "no node is from there",
    known.length > 0 ? `near it: ${known.join(", ")}` : "the graph does not say where its nodes are from",
  );
}

const lineOf = (site: string) => Number(/:(\d+)$/.exec(site)?.[1]);

/** The file that most nodes are from. */
function mainFile(nodes: readonly Node[]): string {
  const counts = new Map<string, number>();
  for (const { origin: { site } } of nodes) {
    const file = site?.split(":")[0];
    if (file) counts.set(file, (counts.get(file) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "";
}

async function sourceLine(site: string): Promise<string | undefined> {
  try {
    const text = await Deno.readTextFile(site.replace(/:\d+$/, ""));
    return text.split("\n")[lineOf(site) - 1]?.trim();
  } catch {
    return undefined;
  }
}

function nodeLine(index: ProgramIndex | undefined, node: Node): NodeLine {
  const { id, origin: { scope, phase, site } } = node;
  const isStored = index?.isStored(id) ?? false;
  return { id, text: printNode(node), scope, phase, ...site !== undefined && { site }, isStored };
}

function kernelLine(index: ProgramIndex, work: Work): KernelLine {
  const [kernel = -1] = work.kernels;
  const name = kernel < 0 ? "copy" : index.compilation.program.kernels[kernel].name;
  return { kernel, name, position: work.position, ...index.costOf(work) };
}
