/**
 * Merging: groups that turn out to work on the same positions become one kernel, because one reads the other's results
 * there, or because both read the same large tensor.
 *
 * @module
 */
import { isSmallRead } from "./cost.ts";
import type { GroupKind } from "./fusion.ts";
import type { NodeId } from "./graph.ts";
import type { Grouping } from "./grouping.ts";
import { areApart, isAligned, tooLarge } from "./fuse_rules.ts";

/** Moves all nodes of group `from` into group `into`, if one kernel can compute both. */
export function mergeInto(grouping: Grouping, from: number, into: number): void {
  const a = grouping.groups[from]!;
  const b = grouping.groups[into]!;
  if (areApart(grouping, a.nodes, b.nodes)) return;
  const loops = ["pointwise", "row"];
  if (!loops.includes(a.kind) || !loops.includes(b.kind)) return;
  const kind = a.kind === "row" || b.kind === "row" ? "row" : "pointwise";
  const { parallel, reduced } = a.kind === "row" ? a : b;
  const other = a.kind === "row" ? b : a;
  if (other.kind === "row" && (other.parallel !== parallel || other.reduced !== reduced)) return;
  if (other.kind === "pointwise" && other.parallel !== parallel * reduced && other.parallel !== parallel) {
    return;
  }
  const domain = { kind: kind as GroupKind, parallel, reduced };
  for (const [reader, source] of [[a, b], [b, a]]) {
    for (const id of reader.nodes) {
      for (const read of grouping.readsOf(id)) {
        if (grouping.groupOf[read.tensor] !== source.id) continue;
        if (!isAligned(grouping, grouping.graph.nodes[id], read, domain)) return;
      }
    }
  }
  if (grouping.dependsOn(into, from, true) || grouping.dependsOn(from, into, true)) return;
  const nodes = [...a.nodes, ...b.nodes].sort((x, y) => x - y);
  if (tooLarge(grouping, nodes, domain.kind, reduced)) return;
  Object.assign(b, domain, { nodes });
  for (const id of a.nodes) grouping.groupOf[id] = b.id;
  grouping.groups[from] = undefined;
}

/** Loops over the same space that share a large tensor and do not need each other become one: it is read once. */
export function mergeSiblings(grouping: Grouping): void {
  const readers = new Map<NodeId, Set<number>>();
  for (const group of grouping.groups) {
    if (!group || !["pointwise", "row", "column"].includes(group.kind)) continue;
    const space = group.parallel * group.reduced;
    for (const { tensor, span } of group.nodes.flatMap((id) => grouping.readsOf(id))) {
      if (grouping.groupOf[tensor] === group.id || isSmallRead(span, space)) continue;
      const known = readers.get(tensor);
      if (known) known.add(group.id);
      else readers.set(tensor, new Set([group.id]));
    }
  }
  for (const ids of readers.values()) {
    for (const first of ids) {
      for (const second of ids) if (first < second) mergePair(grouping, first, second);
    }
  }
}

function mergePair(grouping: Grouping, first: number, second: number): void {
  const [a, b] = [grouping.groups[first], grouping.groups[second]];
  if (!a || !b || a.kind !== b.kind || a.parallel !== b.parallel || a.reduced !== b.reduced) return;
  if (areApart(grouping, a.nodes, b.nodes)) return;
  if (grouping.dependsOn(first, second) || grouping.dependsOn(second, first)) return;
  const nodes = [...a.nodes, ...b.nodes].sort((x, y) => x - y);
  if (tooLarge(grouping, nodes, a.kind, a.reduced)) return;
  a.nodes = nodes;
  for (const id of b.nodes) grouping.groupOf[id] = a.id;
  grouping.groups[second] = undefined;
}
