/**
 * Inlining: a result that is cheaper to compute again than to store and load is computed by its readers. Prices are in
 * `cost.ts`.
 *
 * @module
 */
import { cheapInMatmul, cheapToRecompute, isSmallRead, MAX_PROLOGUE_LOADS } from "./cost.ts";
import { bytesPerElement } from "./dtype.ts";
import { mayJoinTemplate } from "./fuse_rules.ts";
import { type Node, type NodeId, sizeOf } from "./graph.ts";
import type { Grouping } from "./grouping.ts";
import { OPS } from "./ops/mod.ts";
import { type Read, readsOf } from "./reads.ts";

/** A pointwise node that reads no large tensor costs nothing to compute wherever it is wanted. */
export function isFree(grouping: Grouping, node: Node): boolean {
  if (OPS[node.op].class !== "pointwise") return false;
  const size = sizeOf(node.shape);
  const reads = readsOf(grouping.graph, node.id, (id) => id === node.id || grouping.inline.has(id));
  // A reader of three such values must still find a binding for each tensor, and for what it stores.
  const fewest = Math.max(1, Math.floor((grouping.target.maxStorageBuffers - 2) / 3));
  return reads.length <= fewest &&
    reads.every((read) => isSmallRead(read.span, size)) &&
    cheapToRecompute(grouping.costOf(node.id, () => false)) && size > 1;
}

/** Inlines results into their readers where that moves fewer bytes than storing and loading them. */
export function inlineCheap(grouping: Grouping): void {
  for (const node of grouping.graph.nodes) {
    if (grouping.groupOf[node.id] >= 0) grouping.registerReads(node.id);
  }
  for (const id of movedOut(grouping)) grouping.kept.set(id, (grouping.kept.get(id) ?? 0) + 1);
  for (let id = grouping.graph.nodes.length - 1; id >= 0; id--) {
    const node = grouping.graph.nodes[id];
    if (grouping.groupOf[id] < 0 || OPS[node.op].class !== "pointwise" || grouping.kept.has(id)) continue;
    const readers = grouping.readersOf(id);
    if (readers.length > 0) tryInline(grouping, node, readers);
  }
}

/** Nodes that reach an output or a concat through views alone, once for each: they are stored whatever happens. */
function movedOut(grouping: Grouping): NodeId[] {
  const roots = grouping.graph.outputs.map((output) => output.node);
  for (const node of grouping.graph.nodes) if (node.op === "concat") roots.push(...node.inputs);
  return roots.map((id) => {
    let node = grouping.graph.nodes[id];
    while (OPS[node.op].class === "movement" && node.op !== "concat") {
      node = grouping.graph.nodes[node.inputs[0]];
    }
    return node.id;
  });
}

function tryInline(grouping: Grouping, node: Node, readers: readonly NodeId[]): void {
  const own = grouping.groupOf[node.id];
  const stored = (id: NodeId) => grouping.groupOf[id] !== own || grouping.readersOf(id).length > 0;
  const expanded = new Set<NodeId>([node.id]);
  const expand = (id: NodeId): boolean => {
    if (id === node.id || grouping.inline.has(id)) return true;
    if (OPS[grouping.graph.nodes[id].op].class !== "pointwise" || stored(id)) return false;
    expanded.add(id);
    return true;
  };
  const leaves = readsOf(grouping.graph, node.id, expand);
  const size = sizeOf(node.shape);
  for (const { tensor, span } of leaves) {
    const unstored = grouping.groupOf[tensor] === own && !stored(tensor);
    if (unstored && !isSmallRead(span, size)) return;
  }
  const cost = grouping.costOf(node.id, (id) => expanded.has(id));
  const big = leaves.filter(({ span }) => !isSmallRead(span, size));
  const groups = new Set(readers.map((reader) => grouping.groupOf[reader]));
  let extra = 0;
  for (const group of groups) {
    const { kind, nodes } = grouping.groups[group]!;
    if (kind === "indexed" || kind === "segment" || kind === "concat") return;
    if (!mayJoinTemplate(grouping, kind)) return;
    const inner = kind === "matmul" || kind === "attention";
    if (inner ? !cheapInMatmul(cost, leaves.length) : !cheapToRecompute(cost)) return;
    if (big.length > MAX_PROLOGUE_LOADS) return;
    const reads = nodes.flatMap((id) => grouping.readsOf(id));
    const known = new Set(reads.map((read) => read.tensor));
    for (const { tensor, span } of big) {
      // Another part of the same tensor (a bias beside the weight) is not what is read here.
      if (!reads.some((read) => read.tensor === tensor && covers(read.span, span))) {
        extra += (span[1] - span[0] + 1) * bytesPerElement(grouping.graph.nodes[tensor].dtype);
      }
    }
    const added = leaves.filter(({ tensor }) => !known.has(tensor)).length;
    if (known.size + added + 1 > grouping.target.maxStorageBuffers) return;
  }
  if (extra > byteSize(node) * (1 + groups.size)) return;
  for (const id of expanded) grouping.inline.add(id);
  for (const reader of readers) grouping.refreshReads(reader);
}

/** True when the first range of elements holds the second. */
function covers([low, high]: Read["span"], [first, last]: Read["span"]): boolean {
  return low <= first && last <= high;
}

function byteSize(node: Node): number {
  return sizeOf(node.shape) * bytesPerElement(node.dtype);
}
