/**
 * From any part of a compilation to what became of it: nodes to kernels and back, source lines to nodes.
 *
 * @module
 */
import {
  bytesPerElement,
  type Compilation,
  type Node,
  type NodeId,
  reportDispatches,
  type ReportedDispatch,
} from "../../compiler/mod.ts";

/** A kernel as it is launched: position in the order of execution, and what it computes. */
export interface Work {
  /** Position in the order. */
  readonly position: number;
  /** Kernels of its launches, by their place in `program.kernels`. */
  readonly kernels: readonly number[];
  /** Launches, from the first to the one before `end`. */
  readonly first: number;
  readonly end: number;
  /** Group of the fuser; absent for copies. */
  readonly group?: number;
  /** Nodes whose values it leaves in memory. */
  readonly stores: readonly NodeId[];
}

/** Looks things up in one compilation. */
export class ProgramIndex {
  /** In the order of execution. */
  readonly works: readonly Work[];
  readonly #workOfGroup = new Map<number, Work>();
  readonly #storedBy = new Map<NodeId, Work>();
  readonly #readers: NodeId[][];
  #dispatches?: readonly ReportedDispatch[];

  constructor(readonly compilation: Compilation) {
    const { order, storage, launches, program } = compilation;
    this.works = order.map((id, position): Work => {
      const { group, stores } = storage.works[id];
      const [first, end] = launches[position];
      const kernels = [...new Set(program.dispatches.slice(first, end).map(({ kernel }) => kernel))];
      return {
        position,
        kernels,
        first,
        end,
        ...group && { group: group.id },
        stores: stores.map(({ node }) => node),
      };
    });
    for (const work of this.works) {
      if (work.group !== undefined) this.#workOfGroup.set(work.group, work);
      for (const node of work.stores) this.#storedBy.set(node, work);
    }
    this.#readers = this.nodes.map(() => []);
    for (const { id, inputs } of this.nodes) {
      for (const input of new Set(inputs)) this.#readers[input].push(id);
    }
  }

  /** Nodes of the simplified graph, which the others speak of. */
  get nodes(): readonly Node[] {
    return this.compilation.fusion.graph.nodes;
  }

  /** Launches, with what each reads and writes. */
  get dispatches(): readonly ReportedDispatch[] {
    return this.#dispatches ??= reportDispatches(this.compilation);
  }

  /** Nodes that read a node. */
  readersOf(node: NodeId): readonly NodeId[] {
    return this.#readers[node];
  }

  /** The kernel that computes a node; undefined for views, leaves and what is computed again where it is read. */
  workOf(node: NodeId): Work | undefined {
    const group = this.compilation.fusion.groupOf[node];
    return group >= 0 ? this.#workOfGroup.get(group) : this.#storedBy.get(node);
  }

  /** Whether a node's values reach memory. */
  isStored(node: NodeId): boolean {
    return this.#storedBy.has(node);
  }

  /** Where a node that no kernel has for its own is computed: in the kernels of whoever reads it. */
  worksReading(node: NodeId): Work[] {
    const found = new Set<Work>();
    const seen = new Set<NodeId>();
    const visit = (id: NodeId) => {
      for (const reader of this.readersOf(id)) {
        if (seen.has(reader)) continue;
        seen.add(reader);
        const work = this.workOf(reader);
        if (work) found.add(work);
        else visit(reader);
      }
    };
    visit(node);
    return [...found].sort((a, b) => a.position - b.position);
  }

  /** Launches of a kernel, as works. */
  worksOfKernel(kernel: number): Work[] {
    return this.works.filter(({ kernels }) => kernels.includes(kernel));
  }

  /** Nodes that a work computes; of a copy, what it stores. */
  nodesOf({ group: wanted, stores }: Work): readonly NodeId[] {
    // Groups that were merged into others have left gaps among the ids.
    return this.compilation.fusion.groups.find(({ id }) => id === wanted)?.nodes ?? stores;
  }

  /** Bytes of a root of the storage. */
  bytesOfRoot(root: number): number {
    const { elements, dtype } = this.compilation.storage.roots[root];
    return elements * bytesPerElement(dtype);
  }

  /** Bytes and operations of a work's launches. */
  costOf({ first, end }: Work): { readonly bytes: number; readonly flops: number } {
    const own = this.compilation.program.dispatches.slice(first, end);
    return {
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      flops: own.reduce((sum, { flops }) => sum + flops, 0),
    };
  }

  /** Reasons why a group reads what it reads from memory. */
  reasonsInto(group: number): string[] {
    const { boundaries, groupOf, graph } = this.compilation.fusion;
    const text = (id: NodeId) => `%${id} ${graph.nodes[id].op}`;
    return boundaries.filter(({ consumer }) => groupOf[consumer] === group)
      .map(({ producer, consumer, reason }) => `${text(producer)} -> ${text(consumer)}: ${reason}`);
  }

  /** Reasons why others read what a group computes from memory. */
  reasonsOutOf(group: number): string[] {
    const { boundaries, groupOf, graph } = this.compilation.fusion;
    const text = (id: NodeId) => `%${id} ${graph.nodes[id].op}`;
    return boundaries.filter(({ producer }) => groupOf[producer] === group)
      .map(({ producer, consumer, reason }) => `${text(producer)} -> ${text(consumer)}: ${reason}`);
  }
}
