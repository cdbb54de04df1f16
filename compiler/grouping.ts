/**
 * The groups while they form: which node is in which group, what each group reads, who reads what, and why something did
 * not join. Decisions are made by the passes of `fuse.ts`; this only keeps the books.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import {
  type Boundary,
  defaultReason,
  type Fusion,
  type Group,
  type GroupKind,
  type Optimization,
} from "./fusion.ts";
import type { Graph, Node, NodeId } from "./graph.ts";
import { sizeOf } from "./graph.ts";
import { isRowReduction, reductionDomain } from "./lower.ts";
import { OPS } from "./ops/mod.ts";
import { type Read, readsOf } from "./reads.ts";

/** Groups under construction. */
export class Grouping {
  /** Groups by id; those that were merged into others are gone. */
  readonly groups: (Group | undefined)[] = [];
  /** Group of each node, -1 for none. */
  readonly groupOf: number[];
  /** Nodes that are computed again wherever they are read. */
  readonly inline = new Set<NodeId>();
  /** How many outputs and concatenations a node is stored to; filled before results are inlined. */
  readonly kept = new Map<NodeId, number>();
  readonly #reads = new Map<NodeId, Read[]>();
  readonly #readers = new Map<NodeId, Set<NodeId>>();
  readonly #reasons = new Map<string, string>();

  constructor(
    readonly graph: Graph,
    readonly target: Capabilities,
    readonly optimizations: ReadonlySet<Optimization>,
  ) {
    this.groupOf = new Array(graph.nodes.length).fill(-1);
  }

  /** The decisions, once all passes are done. */
  result(): Fusion {
    const groups = this.groups.filter((group) => group !== undefined);
    return {
      graph: this.graph,
      groups,
      groupOf: this.groupOf,
      inline: this.inline,
      boundaries: this.#boundaries(),
    };
  }

  /** What a node reads from memory, looking through views and inlined nodes. */
  readsOf(id: NodeId): Read[] {
    let reads = this.#reads.get(id);
    if (!reads) {
      reads = readsOf(this.graph, id, (node) => this.inline.has(node));
      this.#reads.set(id, reads);
    }
    return reads;
  }

  /** Summed cost of a node and of the nodes that are expanded with it. */
  costOf(id: NodeId, expand: (id: NodeId) => boolean, seen = new Set<NodeId>()): number {
    if (seen.has(id)) return 0;
    seen.add(id);
    const node = this.graph.nodes[id];
    let cost = OPS[node.op].class === "pointwise" ? OPS[node.op].cost ?? 1 : 0;
    for (const input of node.inputs) {
      const { class: opClass } = OPS[this.graph.nodes[input].op];
      if (opClass === "movement" || this.inline.has(input) || expand(input)) {
        cost += this.costOf(input, expand, seen);
      }
    }
    return cost;
  }

  /** Opens a group for a node. */
  start(node: Node): void {
    const { class: opClass } = OPS[node.op];
    const size = sizeOf(node.shape);
    let kind: GroupKind = "indexed";
    let domain = { parallel: size, reduced: 1 };
    if (node.op === "concat") kind = "concat";
    else if (opClass === "pointwise" || node.op === "gather") kind = "pointwise";
    else if (opClass === "contraction") kind = "matmul";
    else if (opClass === "attention") kind = "attention";
    else if (node.op === "segmentSum") kind = "segment";
    else if (opClass === "reduce") {
      domain = reductionDomain(this.graph, node);
      kind = isRowReduction(this.graph, node) ? "row" : "column";
    }
    const anchored = kind === "matmul" || kind === "attention" || kind === "segment" || kind === "indexed";
    const id = this.groups.length;
    this.groups.push({ id, kind, nodes: [node.id], ...domain, ...(anchored ? { anchor: node.id } : {}) });
    this.groupOf[node.id] = id;
  }

  /** Adds a node to a group. */
  take(group: Group, node: Node): void {
    if (OPS[node.op].class === "reduce" && group.kind === "pointwise") {
      Object.assign(group, reductionDomain(this.graph, node), { kind: "row" });
    }
    group.nodes.push(node.id);
    this.groupOf[node.id] = group.id;
  }

  #depsOf(id: number): Set<number> {
    const deps = new Set<number>();
    for (const node of this.groups[id]!.nodes) {
      for (const read of this.readsOf(node)) {
        const other = this.groupOf[read.tensor];
        if (other >= 0 && other !== id) deps.add(other);
      }
    }
    return deps;
  }

  /** True when group `late` needs, directly or not, a result of group `early`. */
  dependsOn(late: number, early: number, skipDirect = false): boolean {
    const oldest = this.groups[early]!.nodes[0];
    const seen = new Set<number>();
    const stack = [...this.#depsOf(late)].filter((id) => !skipDirect || id !== early);
    while (stack.length > 0) {
      const id = stack.pop()!;
      if (id === early) return true;
      if (seen.has(id)) continue;
      seen.add(id);
      const { nodes } = this.groups[id]!;
      if (nodes[nodes.length - 1] < oldest) continue;
      stack.push(...this.#depsOf(id));
    }
    return false;
  }

  /** Nodes of other groups that read node `id` from memory. */
  readersOf(id: NodeId): NodeId[] {
    const own = this.groupOf[id];
    return [...this.#readers.get(id) ?? []].filter((reader) => this.groupOf[reader] !== own);
  }

  /** Enters a reader into the books. */
  registerReads(reader: NodeId): void {
    for (const { tensor } of this.readsOf(reader)) {
      const readers = this.#readers.get(tensor);
      if (readers) readers.add(reader);
      else this.#readers.set(tensor, new Set([reader]));
    }
  }

  /** Enters a reader anew, after something that it reads was inlined. */
  refreshReads(reader: NodeId): void {
    for (const { tensor } of this.readsOf(reader)) this.#readers.get(tensor)?.delete(reader);
    this.#reads.delete(reader);
    this.registerReads(reader);
  }

  /** Remembers why a consumer did not join the group of what it reads. */
  explain(group: Group, consumer: NodeId, reads: readonly Read[], reason: string): void {
    for (const read of reads) {
      if (this.groupOf[read.tensor] === group.id) this.#reasons.set(`${read.tensor} ${consumer}`, reason);
    }
  }

  #boundaries(): Boundary[] {
    const boundaries: Boundary[] = [];
    for (const node of this.graph.nodes) {
      const own = this.groupOf[node.id];
      if (own < 0) continue;
      for (const { tensor, relation } of this.readsOf(node.id)) {
        const other = this.groupOf[tensor];
        if (other < 0 || other === own) continue;
        const reason = this.#reasons.get(`${tensor} ${node.id}`) ??
          defaultReason(this.groups[own]!, this.groups[other]!, relation);
        boundaries.push({ producer: tensor, consumer: node.id, reason });
      }
    }
    return boundaries;
  }
}
