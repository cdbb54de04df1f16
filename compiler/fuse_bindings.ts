/**
 * Bindings: a group whose loads and stores need more of them than the target has gives up its last nodes.
 *
 * @module
 */
import { refusalOf } from "./fuse_rules.ts";
import type { Group } from "./fusion.ts";
import type { NodeId } from "./graph.ts";
import type { Grouping } from "./grouping.ts";
import { isRowReduction } from "./lower.ts";
import { OPS } from "./ops/mod.ts";

/** Cuts every group down to the target's bindings. */
export function keepBindings(grouping: Grouping): void {
  // Groups that this loop adds are shorter than the one that they come from, and are visited in turn.
  for (const group of grouping.groups) if (group) keepGroup(grouping, group);
}

/** Takes the last nodes out of a group whose loads and stores need too many bindings, into groups of their own. */
function keepGroup(grouping: Grouping, group: Group): void {
  const allowed = grouping.target.maxStorageBuffers;
  const removed: NodeId[] = [];
  let reason = "";
  while (group.nodes.length > 1) {
    const needed = bindingsOf(grouping, group);
    if (needed <= allowed) break;
    reason ||= `would need ${needed} bindings of ${allowed}`;
    const last = group.nodes.pop()!;
    grouping.groupOf[last] = -1;
    removed.unshift(last);
  }
  let tail: Group | undefined;
  for (const id of removed) {
    const node = grouping.graph.nodes[id];
    const reads = grouping.readsOf(id);
    const isOther = OPS[node.op].class === "reduce" && !isRowReduction(grouping.graph, node);
    if (tail && !isOther && refusalOf(grouping, node, tail, reads) === undefined) {
      grouping.take(tail, node);
    } else {
      grouping.start(node);
      tail = grouping.groups[grouping.groupOf[id]]!;
    }
    grouping.explain(group, id, reads, reason);
  }
}

/** Tensors that a group loads, and homes that it stores to. */
function bindingsOf(grouping: Grouping, group: Group): number {
  const members = new Set(group.nodes);
  let stores = 0;
  const needed: NodeId[] = [];
  for (const id of group.nodes) {
    const homes = Math.max(grouping.kept.get(id) ?? 0, grouping.readersOf(id).length > 0 ? 1 : 0);
    stores += homes;
    if (homes > 0) needed.push(id);
  }
  const loads = new Set<NodeId>();
  const seen = new Set(needed);
  for (const id of needed) {
    for (const { tensor } of grouping.readsOf(id)) {
      if (!members.has(tensor)) loads.add(tensor);
      else if (!seen.has(tensor)) {
        seen.add(tensor);
        needed.push(tensor);
      }
    }
  }
  return loads.size + stores;
}
