/**
 * Decides where every value that passes through memory lives. A root is one allocation: a state or batch input, an
 * output, a concatenation, or an intermediate value. A stored node has a home: a root and a map from the node's own
 * index to the root's elements. That is how the pieces of a concatenation are written where they belong, and how an
 * output overwrites the state that it donates to, without copies.
 *
 * @module
 */
import { bytesPerElement, type DType } from "./dtype.ts";
import { InternalError } from "./errors.ts";
import type { Fusion, Group } from "./fusion.ts";
import { type Graph, type Node, type NodeId, sizeOf } from "./graph.ts";
import { add, constantIndex, type IndexExpr, linearize, rangeOf, unravel, variable } from "./index_expr.ts";
import { OPS } from "./ops/mod.ts";
import { type Read, readsOf } from "./reads.ts";

/** One allocation. */
export interface Root {
  /** Position in the list. */
  readonly id: number;
  /** Who owns it. */
  readonly kind: "state" | "batch" | "output" | "arena";
  /** Name of the input or output, or the node as `%12`. */
  readonly name: string;
  /** Number of elements. */
  readonly elements: number;
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Where a node's elements lie: `map` takes the node's index vector to an element of the root. */
export interface Home {
  /** The allocation. */
  readonly root: number;
  /** Element of the allocation for an index vector of the node. */
  map(index: readonly IndexExpr[]): IndexExpr;
}

/** A kernel to be: a fusion group, or a copy of a value to a home that its own kernel could not write. */
export interface Work {
  /** Position in the list. */
  readonly id: number;
  /** Absent for a copy of a view or leaf. */
  readonly group?: Group;
  /** Copies a whole root instead of computing anything; `stores` then holds only the destination. */
  readonly copyOf?: number;
  /** Nodes to store, each with every home that receives it. */
  readonly stores: readonly { readonly node: NodeId; readonly homes: readonly Home[] }[];
  /** Works that must run before this one. */
  readonly after: ReadonlySet<number>;
}

/** The outcome: roots, homes for loads, works. */
export interface Storage {
  /** The groups. */
  readonly fusion: Fusion;
  /** Allocations. */
  readonly roots: readonly Root[];
  /** Home from which a node is loaded, for every node that is loaded at all. */
  readonly homes: ReadonlyMap<NodeId, Home>;
  /** Kernels to be, in no order. */
  readonly works: readonly Work[];
  /** The root that holds each graph output. */
  readonly outputs: readonly { readonly name: string; readonly root: number }[];
}

/**
 * Assigns homes and lists the works of a fused graph.
 *
 * @param separate Names of states whose new value must not be written over the old one directly, because a kernel
 * reads the old one elsewhere or later; it is computed beside it and copied at the end.
 */
export function assignStorage(fusion: Fusion, separate: ReadonlySet<string> = new Set()): Storage {
  return new Assignment(fusion, separate).run();
}

interface Draft {
  readonly group?: Group;
  readonly copyOf?: number;
  readonly stores: Map<NodeId, Home[]>;
}

class Assignment {
  readonly #graph: Graph;
  readonly #roots: Root[] = [];
  readonly #homes = new Map<NodeId, Home>();
  readonly #drafts: Draft[] = [];
  readonly #draftOfGroup = new Map<number, number>();
  readonly #stateRoots = new Map<string, { root: number; node: NodeId }>();
  readonly #outputs: { name: string; root: number }[] = [];
  readonly #known = new Map<NodeId, readonly Read[]>();

  constructor(readonly fusion: Fusion, readonly separate: ReadonlySet<string>) {
    this.#graph = fusion.graph;
  }

  run(): Storage {
    this.#placeInputs();
    this.#placeOutputs();
    for (const node of [...this.#graph.nodes].reverse()) if (node.op === "concat") this.#placeConcat(node);
    this.#placeReads();
    const works = this.#works();
    return {
      fusion: this.fusion,
      roots: this.#roots,
      homes: this.#homes,
      works,
      outputs: this.#outputs,
    };
  }

  #root(kind: Root["kind"], name: string, node: Node): number {
    const id = this.#roots.length;
    this.#roots.push({ id, kind, name, elements: sizeOf(node.shape), dtype: node.dtype });
    return id;
  }

  #placeInputs(): void {
    for (const node of this.#graph.nodes) {
      if (node.op !== "input" || node.attrs.role === "scalar") continue;
      const name = node.attrs.name as string;
      const root = this.#root(node.attrs.role as "state" | "batch", name, node);
      this.#homes.set(node.id, whole(root, node));
      this.#stateRoots.set(name, { root, node: node.id });
    }
  }

  #placeOutputs(): void {
    for (const output of this.#graph.outputs) {
      const node = this.#graph.nodes[output.node];
      const state = output.donates === undefined ? undefined : this.#stateRoots.get(output.donates);
      if (state?.node === node.id) {
        this.#outputs.push({ name: output.name, root: state.root });
        continue;
      }
      const apart = state !== undefined && this.separate.has(output.donates!);
      const root = state && !apart ? state.root : this.#root(apart ? "arena" : "output", output.name, node);
      this.#write(node.id, whole(root, node));
      if (apart) this.#drafts.push({ copyOf: root, stores: new Map([[node.id, [whole(state.root, node)]]]) });
      this.#outputs.push({ name: output.name, root: state ? state.root : root });
    }
  }

  #readsOf(id: NodeId): readonly Read[] {
    let reads = this.#known.get(id);
    if (!reads) this.#known.set(id, reads = readsOf(this.#graph, id, (node) => this.fusion.inline.has(node)));
    return reads;
  }

  #reads(id: NodeId): NodeId[] {
    return this.#readsOf(id).map((read) => read.tensor);
  }

  /** Arranges that node `id` is written to `home`, directly by its group where its views can be undone. */
  #write(id: NodeId, home: Home): void {
    const undone = this.#undoViews(id, home);
    const node = this.#graph.nodes[undone.id];
    const group = this.fusion.groupOf[undone.id];
    if (node.op === "concat" && !this.#homes.has(undone.id)) {
      this.#homes.set(undone.id, undone.home);
      return;
    }
    const isComputed = group >= 0 && this.fusion.groups.some((other) => other.id === group) &&
      node.op !== "concat";
    if (!isComputed) {
      this.#drafts.push({ stores: new Map([[id, [home]]]) });
      return;
    }
    const { stores } = this.#draftFor(group);
    const homes = stores.get(undone.id);
    if (homes) homes.push(undone.home);
    else stores.set(undone.id, [undone.home]);
    if (!this.#homes.has(undone.id)) this.#homes.set(undone.id, undone.home);
  }

  #draftFor(groupId: number): Draft {
    let index = this.#draftOfGroup.get(groupId);
    if (index === undefined) {
      index = this.#drafts.length;
      const group = this.fusion.groups.find((other) => other.id === groupId);
      if (!group) throw new InternalError(`group ${groupId} does not exist`);
      this.#drafts.push({ group, stores: new Map() });
      this.#draftOfGroup.set(groupId, index);
    }
    return this.#drafts[index];
  }

  /** Follows reshapes and transposes down to the node below them, turning the home's map around. */
  #undoViews(id: NodeId, home: Home): { id: NodeId; home: Home } {
    const node = this.#graph.nodes[id];
    if (node.op !== "reshape" && node.op !== "transpose") return { id, home };
    const source = this.#graph.nodes[node.inputs[0]];
    const map = node.op === "reshape"
      ? (index: readonly IndexExpr[]) => home.map(unravel(linearize(index, source.shape), node.shape))
      : (index: readonly IndexExpr[]) => home.map((node.attrs.perm as number[]).map((axis) => index[axis]));
    return this.#undoViews(source.id, { root: home.root, map });
  }

  #placeConcat(node: Node): void {
    let home = this.#homes.get(node.id);
    if (!home) {
      home = whole(this.#root("arena", `%${node.id}`, node), node);
      this.#homes.set(node.id, home);
    }
    const axis = node.attrs.axis as number;
    let offset = 0;
    for (const input of node.inputs) {
      const start = offset;
      const map = (index: readonly IndexExpr[]) =>
        home.map(index.map((part, i) => i === axis ? add(part, constantIndex(start)) : part));
      this.#write(input, { root: home.root, map });
      offset += this.#graph.nodes[input].shape[axis];
    }
  }

  /** Gives every node that another kernel loads a home of its own, unless it has one. */
  #placeReads(): void {
    const wanted = new Set<NodeId>();
    const visit = (id: NodeId, own: number) => {
      for (const tensor of this.#reads(id)) {
        const group = this.fusion.groupOf[tensor];
        if (group >= 0 && group !== own && this.#graph.nodes[tensor].op !== "concat") wanted.add(tensor);
      }
    };
    for (const node of this.#graph.nodes) {
      const group = this.fusion.groupOf[node.id];
      if (group >= 0 && node.op !== "concat") visit(node.id, group);
    }
    for (const draft of this.#drafts) {
      if (draft.group || draft.copyOf !== undefined) continue;
      for (const id of draft.stores.keys()) this.#visitCopy(id, wanted);
    }
    for (const id of wanted) {
      if (this.#homes.has(id)) continue;
      const node = this.#graph.nodes[id];
      this.#write(id, whole(this.#root("arena", `%${id}`, node), node));
    }
  }

  #visitCopy(id: NodeId, wanted: Set<NodeId>): void {
    const node = this.#graph.nodes[id];
    if (this.fusion.groupOf[id] >= 0 && !this.fusion.inline.has(id)) {
      if (node.op !== "concat") wanted.add(id);
      return;
    }
    for (const input of OPS[node.op].class === "leaf" ? [] : node.inputs) this.#visitCopy(input, wanted);
  }

  #works(): Work[] {
    const live = this.#liveDrafts();
    const loads = live.map((draft) => this.#loadsOf(draft));
    const writers = new Map<number, number[]>();
    live.forEach((draft, id) => {
      for (const homes of draft.stores.values()) {
        for (const home of homes) {
          const known = writers.get(home.root);
          if (known) known.push(id);
          else writers.set(home.root, [id]);
        }
      }
    });
    const works = live.map((draft, id) => ({
      id,
      ...(draft.group ? { group: draft.group } : {}),
      ...(draft.copyOf !== undefined ? { copyOf: draft.copyOf } : {}),
      stores: [...draft.stores].map(([node, homes]) => ({ node, homes })),
      after: new Set<number>(),
    }));
    live.forEach((draft, id) => {
      if (draft.copyOf !== undefined) {
        for (const writer of writers.get(draft.copyOf) ?? []) works[id].after.add(writer);
      }
      for (const { tensor, span } of loads[id]) {
        const home = this.#homes.get(tensor);
        if (!home) throw new InternalError(`%${tensor} is loaded but has no home`);
        const isInput = this.#graph.nodes[tensor].op === "input";
        const covered = isInput ? span : this.#span(tensor, home);
        for (const writer of writers.get(home.root) ?? []) {
          if (writer === id || !this.#writesInto(live[writer], home.root, covered)) continue;
          if (isInput) works[writer].after.add(id);
          else works[id].after.add(writer);
        }
      }
    });
    return works;
  }

  /** First and last element of the root that a node's home covers. */
  #span(id: NodeId, home: Home): readonly [number, number] {
    const node = this.#graph.nodes[id];
    return rangeOf(home.map(unravel(variable("p", sizeOf(node.shape)), node.shape)));
  }

  #writesInto(draft: Draft, root: number, [low, high]: readonly [number, number]): boolean {
    for (const [node, homes] of draft.stores) {
      for (const home of homes) {
        if (home.root !== root) continue;
        const [first, last] = this.#span(node, home);
        if (first <= high && last >= low) return true;
      }
    }
    return false;
  }

  #liveDrafts(): Draft[] {
    return this.#drafts.filter((draft) => draft.stores.size > 0);
  }

  #loadsOf(draft: Draft): Pick<Read, "tensor" | "span">[] {
    if (draft.copyOf !== undefined) return [];
    if (!draft.group) return [...draft.stores.keys()].flatMap((id) => this.#copyLoads(id));
    const own = draft.group.id;
    return [...this.#needed(draft)].flatMap((id) => this.#readsOf(id))
      .filter((read) => this.fusion.groupOf[read.tensor] !== own);
  }

  #copyLoads(id: NodeId): Pick<Read, "tensor" | "span">[] {
    const node = this.#graph.nodes[id];
    if (node.attrs.role === "scalar") return [];
    // An inlined node is computed anew by the copy, even where it has a home for others.
    if (node.op === "input" || (this.#homes.has(id) && !this.fusion.inline.has(id))) {
      return [{ tensor: id, span: [0, sizeOf(node.shape) - 1] }];
    }
    return node.inputs.flatMap((input) => this.#copyLoads(input));
  }

  /** The nodes of a group that its stores depend on. */
  #needed(draft: Draft): Set<NodeId> {
    const members = new Set(draft.group!.nodes);
    const needed = new Set<NodeId>();
    const stack = [...draft.stores.keys()];
    while (stack.length > 0) {
      const id = stack.pop()!;
      if (needed.has(id)) continue;
      needed.add(id);
      for (const tensor of this.#reads(id)) if (members.has(tensor)) stack.push(tensor);
    }
    return needed;
  }
}

function whole(root: number, node: Node): Home {
  return { root, map: (index) => linearize(index, node.shape) };
}

/** Bytes of a root. */
export function rootBytes(root: Root): number {
  return root.elements * bytesPerElement(root.dtype);
}
