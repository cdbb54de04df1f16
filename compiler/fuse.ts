/**
 * Fusion: cuts a simplified graph into groups, one kernel each, and says in words why each boundary is where it is.
 *
 * Nodes are visited in order. A pointwise node joins the group of a producer when it reads the producer's result at its
 * own position (or, in a row group, at its own row): it becomes an epilogue. A row reduction joins a group over the same
 * rows. Products, column reductions and indexed ops start groups of their own. Afterwards results that are cheaper
 * to compute again than to keep are inlined into their readers, and loops over the same space that read the same tensor
 * are merged. What is legal is decided in `fuse_rules.ts`; what pays is priced by the constants in `cost.ts`.
 *
 * @module
 */
import { attentionKey } from "./attention.ts";
import type { Capabilities } from "./capabilities.ts";
import { columnSumPartners } from "./column_sums.ts";
import { keepBindings } from "./fuse_bindings.ts";
import { inlineCheap, isFree } from "./fuse_inline.ts";
import { mergeInto, mergeSiblings } from "./fuse_merge.ts";
import { mayJoinTemplate, refusalOf, tooManyBindings } from "./fuse_rules.ts";
import type { Fusion, Optimization } from "./fusion.ts";
import type { Graph, Node } from "./graph.ts";
import { Grouping } from "./grouping.ts";
import { isRowReduction } from "./lower.ts";
import { OPS } from "./ops/mod.ts";

/** Groups the nodes of a simplified graph without composites. */
export function fuse(graph: Graph, target: Capabilities, optimizations: ReadonlySet<Optimization>): Fusion {
  const grouping = new Grouping(graph, target, optimizations);
  const loops = optimizations.has("loops");
  const attention = new Map<string, number>();
  for (const node of graph.nodes) {
    const { class: opClass } = OPS[node.op];
    if (opClass === "leaf" || (opClass === "movement" && node.op !== "concat")) continue;
    if (loops && isFree(grouping, node)) {
      grouping.inline.add(node.id);
      continue;
    }
    if (opClass === "attention" && joinAttention(grouping, attention, node)) continue;
    if (!loops || !join(grouping, node)) grouping.start(node);
  }
  if (loops) {
    joinColumnSums(grouping);
    inlineCheap(grouping);
    mergeSiblings(grouping);
    keepBindings(grouping);
  }
  return grouping.result();
}

/**
 * Adds a node to the kernel that computes it as a by-product, if there is one; otherwise remembers its own.
 *
 * @param known Groups of attention kernels by what they compute.
 */
function joinAttention(grouping: Grouping, known: Map<string, number>, node: Node): boolean {
  const key = attentionKey(node);
  const group = known.get(key);
  if (group === undefined) {
    known.set(key, grouping.groups.length);
    return false;
  }
  grouping.take(grouping.groups[group]!, node);
  return true;
}

/** Adds a node to the group of one of its producers, latest first. */
function join(grouping: Grouping, node: Node): boolean {
  const { class: opClass } = OPS[node.op];
  if (opClass !== "pointwise" && opClass !== "reduce" && node.op !== "gather") return false;
  if (opClass === "reduce" && !isRowReduction(grouping.graph, node)) return false;
  const reads = grouping.readsOf(node.id);
  const producers = [...new Set(reads.map((read) => grouping.groupOf[read.tensor]))]
    .filter((id) => id >= 0)
    .sort((a, b) => b - a);
  for (const id of producers) {
    const group = grouping.groups[id]!;
    const refusal = refusalOf(grouping, node, group, reads);
    if (refusal) {
      grouping.explain(group, node.id, reads, refusal);
      continue;
    }
    grouping.take(group, node);
    for (const other of producers) if (other !== id) mergeInto(grouping, other, id);
    return true;
  }
  return false;
}

/** Gives column sums to the product that reads the same matrix, unless it needs what they lead to. */
function joinColumnSums(grouping: Grouping): void {
  if (!mayJoinTemplate(grouping, "matmul")) return;
  for (const [sum, product] of columnSumPartners(grouping.graph)) {
    const [from, into] = [
      grouping.groups[grouping.groupOf[sum]],
      grouping.groups[grouping.groupOf[product.id]],
    ];
    if (!from || !into || from.nodes.length > 1 || into.anchor !== product.id) continue;
    if (grouping.dependsOn(into.id, from.id) || tooManyBindings(grouping, [...into.nodes, sum])) continue;
    into.nodes = [...into.nodes, sum].sort((a, b) => a - b);
    grouping.groupOf[sum] = into.id;
    grouping.groups[from.id] = undefined;
  }
}
