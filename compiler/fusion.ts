/**
 * What fusion yields: groups of nodes that one kernel computes, and the boundaries between them with their reasons.
 *
 * @module
 */
import type { Graph, NodeId } from "./graph.ts";
import type { Relation } from "./reads.ts";

/** What kind of kernel a group becomes. `concat` has none: its pieces are written in place by their own groups. */
export type GroupKind =
  | "pointwise"
  | "row"
  | "column"
  | "matmul"
  | "attention"
  | "segment"
  | "indexed"
  | "concat";

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
  /** The product, attention, segment sum or indexed op that a template computes. */
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

/** `eager`: one kernel for each op, views and literals apart, and products without tiles. `fused`: everything below. */
export type Mode = "eager" | "fused";

/**
 * What a compilation may do beyond one kernel for each op; the rungs of the ladder that `deno task bench` climbs.
 * `loops`: chains and row reductions share kernels. `tiles`: products are cut into tiles. `epilogues`: what surrounds a
 * product joins its kernel. `attention`: attention has a template of its own instead of its decomposition.
 */
export type Optimization = "loops" | "tiles" | "epilogues" | "attention";

/** What each mode does. */
export const OPTIMIZATIONS: Readonly<Record<Mode, ReadonlySet<Optimization>>> = {
  eager: new Set(),
  fused: new Set(["loops", "tiles", "epilogues", "attention"]),
};

/** Why a result passes through memory when no attempt to fuse was made. */
export function defaultReason(consumer: Group, producer: Group, relation: Relation): string {
  if (producer.kind === "concat") return "reads the assembled tensor, whose pieces come from several kernels";
  switch (consumer.kind) {
    case "matmul":
      return "matmul boundary: an operand is read many times, so it is computed once";
    case "attention":
      return "attention boundary: operands are read in tiles, many times each";
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
