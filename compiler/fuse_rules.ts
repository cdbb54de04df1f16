/**
 * What may share a kernel: the legality of fusion, each refusal in words.
 *
 * @module
 */
import type { Group, GroupKind } from "./fusion.ts";
import { type Node, type NodeId, sizeOf } from "./graph.ts";
import type { Grouping } from "./grouping.ts";
import { reductionDomain } from "./lower.ts";
import { OPS } from "./ops/mod.ts";
import type { Read } from "./reads.ts";

/** Why `node` cannot be computed in `group`'s kernel, or undefined when it can. */
export function refusalOf(
  grouping: Grouping,
  node: Node,
  group: Group,
  reads: readonly Read[],
): string | undefined {
  const isReduce = OPS[node.op].class === "reduce";
  if (areApart(grouping, [node.id], group.nodes)) {
    return "computed again for the backward pass, and not before";
  }
  if (group.kind === "indexed" || group.kind === "attention" || group.kind === "concat") {
    return `${group.kind} kernels take no epilogue`;
  }
  if (!mayJoinTemplate(grouping, group.kind)) return "epilogues are switched off";
  let { kind, parallel, reduced } = group;
  if (isReduce) {
    const domain = reductionDomain(grouping.graph, node);
    if (kind === "matmul" || kind === "segment") return `${kind} boundary: a tile does not hold whole rows`;
    if (kind === "column") return "a row reduction does not run down columns";
    if (kind === "pointwise") {
      if (parallel !== domain.parallel * domain.reduced) return "different iteration spaces";
      kind = "row";
      ({ parallel, reduced } = domain);
    } else if (parallel !== domain.parallel || reduced !== domain.reduced) return "rows of another length";
  } else {
    const size = sizeOf(node.shape);
    const fits = size === parallel || (kind === "row" && size === parallel * reduced);
    if (!fits) return "different iteration spaces";
  }
  for (const read of reads) {
    if (grouping.groupOf[read.tensor] !== group.id) continue;
    if (!isAligned(grouping, node, read, { kind, parallel, reduced })) {
      return isReduce || kind === "row"
        ? "reads elements of other rows"
        : "reads other elements than the one computed beside it: index mismatch";
    }
  }
  const others = new Set(reads.map((read) => grouping.groupOf[read.tensor]).filter((id) => id >= 0));
  others.delete(group.id);
  for (const other of others) {
    if (grouping.dependsOn(other, group.id)) return "would create a cycle";
  }
  return tooLarge(grouping, [...group.nodes, node.id], kind, reduced);
}

/** Whether a kernel of this kind may compute more than its template. */
export function mayJoinTemplate(grouping: Grouping, kind: GroupKind): boolean {
  return (kind !== "matmul" && kind !== "segment") || grouping.optimizations.has("epilogues");
}

/** True when a read of a value of the group happens at the position at which the kernel computes that value. */
export function isAligned(
  grouping: Grouping,
  node: Node,
  read: Read,
  domain: { kind: GroupKind; parallel: number; reduced: number },
): boolean {
  const { parallel, reduced, kind } = domain;
  const isReduce = OPS[node.op].class === "reduce";
  const readerIsElement = isReduce || sizeOf(node.shape) === parallel * reduced;
  const sourceSize = sizeOf(grouping.graph.nodes[read.tensor].shape);
  if (kind !== "row") return read.relation.kind === "same";
  if (!readerIsElement) return read.relation.kind === "same" && sourceSize === parallel;
  if (sourceSize === parallel * reduced && read.relation.kind === "same") return true;
  return sourceSize === parallel && read.relation.kind === "row" && read.relation.length === reduced;
}

/** Which limit one kernel for all of `nodes` would cross; a row is walked once for each reduction and once to store. */
export function tooLarge(
  grouping: Grouping,
  nodes: readonly NodeId[],
  kind: GroupKind,
  reduced: number,
): string | undefined {
  if (kind === "row") {
    const reductions = nodes.filter((id) => OPS[grouping.graph.nodes[id].op].class === "reduce").length;
    const iterations = (reductions + 1) * (reduced % 4 === 0 ? reduced / 4 : reduced);
    const allowed = grouping.target.maxLoopIterations;
    if (iterations > allowed) return `would need ${iterations} loop iterations of ${allowed}`;
  }
  return tooManyBindings(grouping, nodes);
}

/** An estimate while readers are not known yet; `fuse_bindings.ts` counts. */
export function tooManyBindings(grouping: Grouping, nodes: readonly NodeId[]): string | undefined {
  const inside = new Set(nodes);
  const tensors = new Set<NodeId>();
  for (const id of nodes) {
    for (const read of grouping.readsOf(id)) if (!inside.has(read.tensor)) tensors.add(read.tensor);
  }
  const reduces = nodes.filter((id) => OPS[grouping.graph.nodes[id].op].class !== "pointwise").length;
  const needed = tensors.size + Math.max(1, reduces) + 1;
  const allowed = grouping.target.maxStorageBuffers;
  return needed > allowed ? `would need ${needed} bindings of ${allowed}` : undefined;
}

/** True when one kernel for both would compute in the forward pass what is to be recomputed in the backward pass. */
export function areApart(grouping: Grouping, a: readonly NodeId[], b: readonly NodeId[]): boolean {
  const isAgain = (ids: readonly NodeId[]) => ids.some((id) => isRecomputed(grouping.graph.nodes[id]));
  if (isAgain(a) === isAgain(b)) return false;
  return [...a, ...b].some((id) => grouping.graph.nodes[id].origin.phase === "forward");
}

function isRecomputed({ origin }: Node): boolean {
  return origin.recomputes !== undefined;
}
