/**
 * Fusion: cuts a simplified graph into groups, one kernel each, and says in words why each boundary is where it is.
 *
 * Nodes are visited in order. A pointwise node joins the group of a producer when it reads the producer's result at its
 * own position (or, in a row group, at its own row): it becomes an epilogue. A row reduction joins a group over the same
 * rows. Products, column reductions and indexed ops start groups of their own. Afterwards results that are cheaper
 * to compute again than to keep are inlined into their readers, and loops over the same space that read the same tensor
 * are merged. What is legal is decided here; what pays is priced by the constants in `cost.ts`.
 *
 * @module
 */
import { attentionKey } from "./attention.ts";
import type { Capabilities } from "./capabilities.ts";
import { cheapInMatmul, cheapToRecompute, isSmallRead, MAX_PROLOGUE_LOADS } from "./cost.ts";
import { columnSumPartners } from "./column_sums.ts";
import { bytesPerElement } from "./dtype.ts";
import {
  type Boundary,
  defaultReason,
  type Fusion,
  type Group,
  type GroupKind,
  type Optimization,
} from "./fusion.ts";
import { type Graph, type Node, type NodeId, sizeOf } from "./graph.ts";
import { isRowReduction, reductionDomain } from "./lower.ts";
import { OPS } from "./ops/mod.ts";
import { type Read, readsOf } from "./reads.ts";

/** Groups the nodes of a simplified graph without composites. */
export function fuse(graph: Graph, target: Capabilities, optimizations: ReadonlySet<Optimization>): Fusion {
  const fuser = new Fuser(graph, target, optimizations);
  fuser.form();
  return fuser.result();
}

class Fuser {
  readonly #groups: (Group | undefined)[] = [];
  readonly #groupOf: number[];
  readonly #inline = new Set<NodeId>();
  readonly #reads = new Map<NodeId, Read[]>();
  readonly #readers = new Map<NodeId, Set<NodeId>>();
  readonly #reasons = new Map<string, string>();
  /** How many outputs and concatenations a node is stored to. */
  readonly #kept = new Map<NodeId, number>();
  /** Groups of attention kernels by what they compute. */
  readonly #attention = new Map<string, number>();

  constructor(
    readonly graph: Graph,
    readonly target: Capabilities,
    readonly optimizations: ReadonlySet<Optimization>,
  ) {
    this.#groupOf = new Array(graph.nodes.length).fill(-1);
  }

  form(): void {
    const loops = this.optimizations.has("loops");
    for (const node of this.graph.nodes) {
      const { class: opClass } = OPS[node.op];
      if (opClass === "leaf" || (opClass === "movement" && node.op !== "concat")) continue;
      if (loops && this.#isFree(node)) {
        this.#inline.add(node.id);
        continue;
      }
      if (opClass === "attention" && this.#joinAttention(node)) continue;
      if (!loops || !this.#join(node)) this.#start(node);
    }
    if (!loops) return;
    this.#joinColumnSums();
    this.#recompute();
    this.#mergeSiblings();
    // Groups that this loop adds are shorter than the one that they come from, and are visited in turn.
    for (const group of this.#groups) if (group) this.#keepBindings(group);
  }

  result(): Fusion {
    const groups = this.#groups.filter((group) => group !== undefined);
    return {
      graph: this.graph,
      groups,
      groupOf: this.#groupOf,
      inline: this.#inline,
      boundaries: this.#boundaries(),
    };
  }

  #readsOf(id: NodeId): Read[] {
    let reads = this.#reads.get(id);
    if (!reads) {
      reads = readsOf(this.graph, id, (node) => this.#inline.has(node));
      this.#reads.set(id, reads);
    }
    return reads;
  }

  /** A pointwise node that reads no large tensor costs nothing to compute wherever it is wanted. */
  #isFree(node: Node): boolean {
    if (OPS[node.op].class !== "pointwise") return false;
    const size = sizeOf(node.shape);
    const reads = readsOf(this.graph, node.id, (id) => id === node.id || this.#inline.has(id));
    // A reader of three such values must still find a binding for each tensor, and for what it stores.
    const fewest = Math.max(1, Math.floor((this.target.maxStorageBuffers - 2) / 3));
    return reads.length <= fewest &&
      reads.every((read) => isSmallRead(read.span, size)) &&
      cheapToRecompute(this.#costOf(node.id, () => false)) && size > 1;
  }

  /** Summed cost of a node and of the nodes that are expanded with it. */
  #costOf(id: NodeId, expand: (id: NodeId) => boolean, seen = new Set<NodeId>()): number {
    if (seen.has(id)) return 0;
    seen.add(id);
    const node = this.graph.nodes[id];
    let cost = OPS[node.op].class === "pointwise" ? OPS[node.op].cost ?? 1 : 0;
    for (const input of node.inputs) {
      const { class: opClass } = OPS[this.graph.nodes[input].op];
      if (opClass === "movement" || this.#inline.has(input) || expand(input)) {
        cost += this.#costOf(input, expand, seen);
      }
    }
    return cost;
  }

  #start(node: Node): void {
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
    const id = this.#groups.length;
    this.#groups.push({ id, kind, nodes: [node.id], ...domain, ...(anchored ? { anchor: node.id } : {}) });
    this.#groupOf[node.id] = id;
  }

  /** Adds a node to the kernel that computes it as a by-product, if there is one; otherwise remembers its own. */
  #joinAttention(node: Node): boolean {
    const key = attentionKey(node) + (isRecomputed(node) ? " again" : "");
    const known = this.#attention.get(key);
    if (known === undefined) {
      this.#attention.set(key, this.#groups.length);
      return false;
    }
    this.#take(this.#groups[known]!, node);
    return true;
  }

  /** Adds a node to the group of one of its producers, latest first. */
  #join(node: Node): boolean {
    const { class: opClass } = OPS[node.op];
    if (opClass !== "pointwise" && opClass !== "reduce" && node.op !== "gather") return false;
    if (opClass === "reduce" && !isRowReduction(this.graph, node)) return false;
    const reads = this.#readsOf(node.id);
    const producers = [...new Set(reads.map((read) => this.#groupOf[read.tensor]))]
      .filter((id) => id >= 0)
      .sort((a, b) => b - a);
    for (const id of producers) {
      const group = this.#groups[id]!;
      const refusal = this.#refusal(node, group, reads);
      if (refusal) {
        this.#explain(group, node.id, reads, refusal);
        continue;
      }
      this.#take(group, node);
      for (const other of producers) if (other !== id) this.#mergeInto(other, id);
      return true;
    }
    return false;
  }

  /** Gives column sums to the product that reads the same matrix, unless it needs what they lead to. */
  #joinColumnSums(): void {
    if (!this.#mayJoinTemplate("matmul")) return;
    for (const [sum, product] of columnSumPartners(this.graph)) {
      const [from, into] = [this.#groups[this.#groupOf[sum]], this.#groups[this.#groupOf[product.id]]];
      if (!from || !into || from.nodes.length > 1 || into.anchor !== product.id) continue;
      if (this.#dependsOn(into.id, from.id) || this.#tooManyBindings([...into.nodes, sum])) continue;
      into.nodes = [...into.nodes, sum].sort((a, b) => a - b);
      this.#groupOf[sum] = into.id;
      this.#groups[from.id] = undefined;
    }
  }

  #take(group: Group, node: Node): void {
    if (OPS[node.op].class === "reduce" && group.kind === "pointwise") {
      Object.assign(group, reductionDomain(this.graph, node), { kind: "row" });
    }
    group.nodes.push(node.id);
    this.#groupOf[node.id] = group.id;
  }

  /** Why `node` cannot be computed in `group`'s kernel, or undefined when it can. */
  #refusal(node: Node, group: Group, reads: readonly Read[]): string | undefined {
    const isReduce = OPS[node.op].class === "reduce";
    if (this.#areApart([node.id], group.nodes)) return "computed again for the backward pass, and not before";
    if (group.kind === "indexed" || group.kind === "attention" || group.kind === "concat") {
      return `${group.kind} kernels take no epilogue`;
    }
    if (!this.#mayJoinTemplate(group.kind)) return "epilogues are switched off";
    let { kind, parallel, reduced } = group;
    if (isReduce) {
      const domain = reductionDomain(this.graph, node);
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
      if (this.#groupOf[read.tensor] !== group.id) continue;
      if (!this.#aligned(node, read, { kind, parallel, reduced })) {
        return isReduce || kind === "row"
          ? "reads elements of other rows"
          : "reads other elements than the one computed beside it: index mismatch";
      }
    }
    const others = new Set(reads.map((read) => this.#groupOf[read.tensor]).filter((id) => id >= 0));
    others.delete(group.id);
    for (const other of others) {
      if (this.#dependsOn(other, group.id)) return "would create a cycle";
    }
    return this.#tooLarge([...group.nodes, node.id], kind, reduced);
  }

  /** Whether a kernel of this kind may compute more than its template. */
  #mayJoinTemplate(kind: GroupKind): boolean {
    return (kind !== "matmul" && kind !== "segment") || this.optimizations.has("epilogues");
  }

  /** True when a read of a value of the group happens at the position at which the kernel computes that value. */
  #aligned(
    node: Node,
    read: Read,
    domain: { kind: GroupKind; parallel: number; reduced: number },
  ): boolean {
    const { parallel, reduced, kind } = domain;
    const isReduce = OPS[node.op].class === "reduce";
    const readerIsElement = isReduce || sizeOf(node.shape) === parallel * reduced;
    const sourceSize = sizeOf(this.graph.nodes[read.tensor].shape);
    if (kind !== "row") return read.relation.kind === "same";
    if (!readerIsElement) return read.relation.kind === "same" && sourceSize === parallel;
    if (sourceSize === parallel * reduced && read.relation.kind === "same") return true;
    return sourceSize === parallel && read.relation.kind === "row" && read.relation.length === reduced;
  }

  /** Which limit one kernel for all of `nodes` would cross; a row is walked once for each reduction and once to store. */
  #tooLarge(nodes: readonly NodeId[], kind: GroupKind, reduced: number): string | undefined {
    if (kind === "row") {
      const reductions = nodes.filter((id) => OPS[this.graph.nodes[id].op].class === "reduce").length;
      const iterations = (reductions + 1) * (reduced % 4 === 0 ? reduced / 4 : reduced);
      const allowed = this.target.maxLoopIterations;
      if (iterations > allowed) return `would need ${iterations} loop iterations of ${allowed}`;
    }
    return this.#tooManyBindings(nodes);
  }

  /** An estimate while readers are not known yet; {@link Fuser.#keepBindings} counts. */
  #tooManyBindings(nodes: readonly NodeId[]): string | undefined {
    const inside = new Set(nodes);
    const tensors = new Set<NodeId>();
    for (const id of nodes) {
      for (const read of this.#readsOf(id)) if (!inside.has(read.tensor)) tensors.add(read.tensor);
    }
    const reduces = nodes.filter((id) => OPS[this.graph.nodes[id].op].class !== "pointwise").length;
    const needed = tensors.size + Math.max(1, reduces) + 1;
    const allowed = this.target.maxStorageBuffers;
    return needed > allowed ? `would need ${needed} bindings of ${allowed}` : undefined;
  }

  #depsOf(id: number): Set<number> {
    const deps = new Set<number>();
    for (const node of this.#groups[id]!.nodes) {
      for (const read of this.#readsOf(node)) {
        const other = this.#groupOf[read.tensor];
        if (other >= 0 && other !== id) deps.add(other);
      }
    }
    return deps;
  }

  /** True when group `late` needs, directly or not, a result of group `early`. */
  #dependsOn(late: number, early: number, skipDirect = false): boolean {
    const oldest = this.#groups[early]!.nodes[0];
    const seen = new Set<number>();
    const stack = [...this.#depsOf(late)].filter((id) => !skipDirect || id !== early);
    while (stack.length > 0) {
      const id = stack.pop()!;
      if (id === early) return true;
      if (seen.has(id)) continue;
      seen.add(id);
      const { nodes } = this.#groups[id]!;
      if (nodes[nodes.length - 1] < oldest) continue;
      stack.push(...this.#depsOf(id));
    }
    return false;
  }

  /** True when one kernel for both would compute in the forward pass what is to be recomputed in the backward pass. */
  #areApart(a: readonly NodeId[], b: readonly NodeId[]): boolean {
    const isAgain = (ids: readonly NodeId[]) => ids.some((id) => isRecomputed(this.graph.nodes[id]));
    if (isAgain(a) === isAgain(b)) return false;
    return [...a, ...b].some((id) => this.graph.nodes[id].origin.phase === "forward");
  }

  /** Moves all nodes of group `from` into group `into`, if one kernel can compute both. */
  #mergeInto(from: number, into: number): void {
    const a = this.#groups[from]!;
    const b = this.#groups[into]!;
    if (this.#areApart(a.nodes, b.nodes)) return;
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
        for (const read of this.#readsOf(id)) {
          if (this.#groupOf[read.tensor] !== source.id) continue;
          if (!this.#aligned(this.graph.nodes[id], read, domain)) return;
        }
      }
    }
    if (this.#dependsOn(into, from, true) || this.#dependsOn(from, into, true)) return;
    const nodes = [...a.nodes, ...b.nodes].sort((x, y) => x - y);
    if (this.#tooLarge(nodes, domain.kind, reduced)) return;
    Object.assign(b, domain, { nodes });
    for (const id of a.nodes) this.#groupOf[id] = b.id;
    this.#groups[from] = undefined;
  }

  /** Loops over the same space that share a large tensor and do not need each other become one: it is read once. */
  #mergeSiblings(): void {
    const readers = new Map<NodeId, Set<number>>();
    for (const group of this.#groups) {
      if (!group || !["pointwise", "row", "column"].includes(group.kind)) continue;
      const space = group.parallel * group.reduced;
      for (const { tensor, span } of group.nodes.flatMap((id) => this.#readsOf(id))) {
        if (this.#groupOf[tensor] === group.id || isSmallRead(span, space)) continue;
        const known = readers.get(tensor);
        if (known) known.add(group.id);
        else readers.set(tensor, new Set([group.id]));
      }
    }
    for (const ids of readers.values()) {
      for (const first of ids) {
        for (const second of ids) if (first < second) this.#mergePair(first, second);
      }
    }
  }

  #mergePair(first: number, second: number): void {
    const [a, b] = [this.#groups[first], this.#groups[second]];
    if (!a || !b || a.kind !== b.kind || a.parallel !== b.parallel || a.reduced !== b.reduced) return;
    if (this.#areApart(a.nodes, b.nodes)) return;
    if (this.#dependsOn(first, second) || this.#dependsOn(second, first)) return;
    const nodes = [...a.nodes, ...b.nodes].sort((x, y) => x - y);
    if (this.#tooLarge(nodes, a.kind, a.reduced)) return;
    a.nodes = nodes;
    for (const id of b.nodes) this.#groupOf[id] = a.id;
    this.#groups[second] = undefined;
  }

  /** Takes the last nodes out of a group whose loads and stores need too many bindings, into groups of their own. */
  #keepBindings(group: Group): void {
    const allowed = this.target.maxStorageBuffers;
    const removed: NodeId[] = [];
    let reason = "";
    while (group.nodes.length > 1) {
      const needed = this.#bindingsOf(group);
      if (needed <= allowed) break;
      reason ||= `would need ${needed} bindings of ${allowed}`;
      const last = group.nodes.pop()!;
      this.#groupOf[last] = -1;
      removed.unshift(last);
    }
    let tail: Group | undefined;
    for (const id of removed) {
      const node = this.graph.nodes[id];
      const reads = this.#readsOf(id);
      const isOther = OPS[node.op].class === "reduce" && !isRowReduction(this.graph, node);
      if (tail && !isOther && this.#refusal(node, tail, reads) === undefined) {
        this.#take(tail, node);
      } else {
        this.#start(node);
        tail = this.#groups[this.#groupOf[id]]!;
      }
      this.#explain(group, id, reads, reason);
    }
  }

  /** Tensors that a group loads, and homes that it stores to. */
  #bindingsOf(group: Group): number {
    const members = new Set(group.nodes);
    let stores = 0;
    const needed: NodeId[] = [];
    for (const id of group.nodes) {
      const homes = Math.max(this.#kept.get(id) ?? 0, this.#readersOf(id).length > 0 ? 1 : 0);
      stores += homes;
      if (homes > 0) needed.push(id);
    }
    const loads = new Set<NodeId>();
    const seen = new Set(needed);
    for (const id of needed) {
      for (const { tensor } of this.#readsOf(id)) {
        if (!members.has(tensor)) loads.add(tensor);
        else if (!seen.has(tensor)) {
          seen.add(tensor);
          needed.push(tensor);
        }
      }
    }
    return loads.size + stores;
  }

  /** Inlines results into their readers where that moves fewer bytes than storing and loading them. */
  #recompute(): void {
    for (const node of this.graph.nodes) if (this.#groupOf[node.id] >= 0) this.#registerReads(node.id);
    for (const id of this.#movedOut()) this.#kept.set(id, (this.#kept.get(id) ?? 0) + 1);
    for (let id = this.graph.nodes.length - 1; id >= 0; id--) {
      const node = this.graph.nodes[id];
      if (this.#groupOf[id] < 0 || OPS[node.op].class !== "pointwise" || this.#kept.has(id)) continue;
      const readers = this.#readersOf(id);
      if (readers.length > 0) this.#tryInline(node, readers);
    }
  }

  /** Nodes that reach an output or a concat through views alone, once for each: they are stored whatever happens. */
  #movedOut(): NodeId[] {
    const roots = this.graph.outputs.map((output) => output.node);
    for (const node of this.graph.nodes) if (node.op === "concat") roots.push(...node.inputs);
    return roots.map((id) => {
      let node = this.graph.nodes[id];
      while (OPS[node.op].class === "movement" && node.op !== "concat") {
        node = this.graph.nodes[node.inputs[0]];
      }
      return node.id;
    });
  }

  /** Nodes of other groups that read node `id` from memory. */
  #readersOf(id: NodeId): NodeId[] {
    const own = this.#groupOf[id];
    return [...this.#readers.get(id) ?? []].filter((reader) => this.#groupOf[reader] !== own);
  }

  #registerReads(reader: NodeId): void {
    for (const { tensor } of this.#readsOf(reader)) {
      const readers = this.#readers.get(tensor);
      if (readers) readers.add(reader);
      else this.#readers.set(tensor, new Set([reader]));
    }
  }

  #refreshReads(reader: NodeId): void {
    for (const { tensor } of this.#readsOf(reader)) this.#readers.get(tensor)?.delete(reader);
    this.#reads.delete(reader);
    this.#registerReads(reader);
  }

  #tryInline(node: Node, readers: readonly NodeId[]): void {
    const own = this.#groupOf[node.id];
    const stored = (id: NodeId) => this.#groupOf[id] !== own || this.#readersOf(id).length > 0;
    const expanded = new Set<NodeId>([node.id]);
    const expand = (id: NodeId): boolean => {
      if (id === node.id || this.#inline.has(id)) return true;
      if (OPS[this.graph.nodes[id].op].class !== "pointwise" || stored(id)) return false;
      expanded.add(id);
      return true;
    };
    const leaves = readsOf(this.graph, node.id, expand);
    const size = sizeOf(node.shape);
    for (const { tensor, span } of leaves) {
      const unstored = this.#groupOf[tensor] === own && !stored(tensor);
      if (unstored && !isSmallRead(span, size)) return;
    }
    const cost = this.#costOf(node.id, (id) => expanded.has(id));
    const big = leaves.filter(({ span }) => !isSmallRead(span, size));
    const groups = new Set(readers.map((reader) => this.#groupOf[reader]));
    let extra = 0;
    for (const group of groups) {
      const { kind, nodes } = this.#groups[group]!;
      if (kind === "indexed" || kind === "segment" || kind === "concat") return;
      if (!this.#mayJoinTemplate(kind)) return;
      const inner = kind === "matmul" || kind === "attention";
      if (inner ? !cheapInMatmul(cost, leaves.length) : !cheapToRecompute(cost)) return;
      if (big.length > MAX_PROLOGUE_LOADS) return;
      const reads = nodes.flatMap((id) => this.#readsOf(id));
      const known = new Set(reads.map((read) => read.tensor));
      for (const { tensor, span } of big) {
        // Another part of the same tensor (a bias beside the weight) is not what is read here.
        if (!reads.some((read) => read.tensor === tensor && covers(read.span, span))) {
          extra += (span[1] - span[0] + 1) * bytesPerElement(this.graph.nodes[tensor].dtype);
        }
      }
      const added = leaves.filter(({ tensor }) => !known.has(tensor)).length;
      if (known.size + added + 1 > this.target.maxStorageBuffers) return;
    }
    if (extra > byteSize(node) * (1 + groups.size)) return;
    for (const id of expanded) this.#inline.add(id);
    for (const reader of readers) this.#refreshReads(reader);
  }

  #explain(group: Group, consumer: NodeId, reads: readonly Read[], reason: string): void {
    for (const read of reads) {
      if (this.#groupOf[read.tensor] === group.id) this.#reasons.set(`${read.tensor} ${consumer}`, reason);
    }
  }

  #boundaries(): Boundary[] {
    const boundaries: Boundary[] = [];
    for (const node of this.graph.nodes) {
      const own = this.#groupOf[node.id];
      if (own < 0) continue;
      for (const { tensor, relation } of this.#readsOf(node.id)) {
        const other = this.#groupOf[tensor];
        if (other < 0 || other === own) continue;
        const reason = this.#reasons.get(`${tensor} ${node.id}`) ??
          defaultReason(this.#groups[own]!, this.#groups[other]!, relation);
        boundaries.push({ producer: tensor, consumer: node.id, reason });
      }
    }
    return boundaries;
  }
}

/** True when the first range of elements holds the second. */
function covers([low, high]: Read["span"], [first, last]: Read["span"]): boolean {
  return low <= first && last <= high;
}

function byteSize(node: Node): number {
  return sizeOf(node.shape) * bytesPerElement(node.dtype);
}

function isRecomputed({ origin }: Node): boolean {
  return origin.recomputes !== undefined;
}
