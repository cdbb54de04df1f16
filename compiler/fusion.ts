/**
 * What fusion yields: groups of nodes that one kernel computes, and the boundaries between them with their reasons.
 *
 * @module
 */
import type { Graph, NodeId } from "./graph.ts";
import type { Relation } from "./reads.ts";

/** What kind of kernel a group becomes. `concat` has none: its pieces are written in place by their own groups. */
export type GroupKind = "pointwise" | "row" | "column" | "matmul" | "segment" | "indexed" | "concat";

/** Nodes that are computed by one kernel. */
export interface Group {
  /** Index of the group. */
  readonly id: number;
  /** What kind of kernel it becomes. */
  kind: GroupKind;
  /** In graph order. */
  nodes: NodeId[];
  /** Positions computed independently: elements of a pointwise group, rows of a row group. */
  parallel: number;
  /** Elements reduced at each position; 1 if nothing is. */
  reduced: number;
  /** The product, segment sum or indexed op that a template computes. */
  anchor?: NodeId;
}

/** A result that passes through memory, and why. */
export interface Boundary {
  /** The node that is stored. */
  readonly producer: NodeId;
  /** The node that loads it. */
  readonly consumer: NodeId;
  /** In words, for people. */
  readonly reason: string;
}

/** The fuser's decisions. */
export interface Fusion {
  /** The graph that was fused. */
  readonly graph: Graph;
  /** Its groups, by age. */
  readonly groups: readonly Group[];
  /** Group of each node; -1 for views, leaves and nodes that live only inside other groups. */
  readonly groupOf: readonly number[];
  /** Nodes that may be computed again wherever they are read. */
  readonly inline: ReadonlySet<NodeId>;
  /** Every result that passes from group to group. */
  readonly boundaries: readonly Boundary[];
}

/** `eager`: one kernel for each op, views and literals apart, and products without tiles: the baseline of the ladder. `fused`: everything in this file. */
export type Mode = "eager" | "fused";

/** Why a result passes through memory when no attempt to fuse was made. */
export function defaultReason(consumer: Group, producer: Group, relation: Relation): string {
  if (producer.kind === "concat") return "reads the assembled tensor, whose pieces come from several kernels";
  switch (consumer.kind) {
    case "matmul":
      return "matmul boundary: an operand is read many times, so it is computed once";
    case "column":
      return "a column reduction reads whole columns";
    case "segment":
    case "indexed":
      return "an indexed op reads elements that other invocations computed";
    case "concat":
      return "written in place as a piece of the concatenation";
    default:
      return relation.kind === "other"
        ? "reads other elements than the one computed beside it: index mismatch"
        : "joined a later producer's group";
  }
}
