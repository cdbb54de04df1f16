/**
 * Which values of the forward pass wait for the backward pass, read off a finished plan: how many bytes each holds for
 * how long, and what it would cost to compute it again. `recompute.ts` decides with these facts; the inspector lists them.
 *
 * Views, and values that the fuser computes wherever they are read, are looked through: they hold no memory.
 *
 * @module
 */
import { bytesOf, recomputePrice } from "./cost.ts";
import type { Fusion } from "./fusion.ts";
import type { Node, NodeId } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import type { Placement } from "./plan.ts";
import type { Storage } from "./storage.ts";

/** A plan that was made without recomputation. */
export interface PlannedGraph {
  /** The groups. */
  readonly fusion: Fusion;
  /** Where values live. */
  readonly storage: Storage;
  /** Work ids in execution order. */
  readonly order: readonly number[];
  /** Lifetimes. */
  readonly placement: Placement;
}

/** A value of the forward pass that the backward pass needs, itself or to compute others again. */
export interface ForwardValue {
  /** The node. */
  readonly id: NodeId;
  /** Values that it is computed from, leaves apart. */
  readonly operands: readonly NodeId[];
  /** Its size. */
  readonly bytes: number;
  /** What it costs to compute it again, in multiply-adds. */
  readonly price: number;
  /** True when the backward pass reads it. */
  readonly isRead: boolean;
  /** True when it has memory of its own in the plan; to keep it costs nothing more. */
  readonly isStored: boolean;
  /** True when it costs no intermediate memory: an input, output or state holds it. */
  readonly isHeld: boolean;
  /** Position in the order at which it is computed. */
  readonly made: number;
  /** Position at which the forward pass last reads it. */
  readonly lastForward: number;
  /** Position at which the backward pass first needs it. */
  readonly firstBackward: number;
  /** Position at which it is last read. */
  readonly lastUse: number;
}

/** Groups and values, told apart by the part of the program that computes them. */
export class ForwardValues {
  /** The values, in graph order. */
  readonly values: ReadonlyMap<NodeId, ForwardValue>;
  /** Number of works. */
  readonly works: number;
  readonly #isForward: boolean[];
  readonly #operands = new Map<NodeId, readonly NodeId[]>();

  constructor(readonly plan: PlannedGraph) {
    this.works = plan.order.length;
    this.#isForward = this.#classify();
    this.values = this.#collect();
  }

  /** True for a view, or a node without a kernel of its own: every reader sees through it. */
  isTransparent({ id, op }: Node): boolean {
    return op !== "concat" && (OPS[op].class === "movement" || this.plan.fusion.inline.has(id));
  }

  /** True for a node that is computed before the backward pass. */
  isForward(id: NodeId): boolean {
    return this.#isForward[id];
  }

  /** Values that a node reads, through whatever is transparent. */
  operandsOf(id: NodeId): readonly NodeId[] {
    const known = this.#operands.get(id);
    if (known) return known;
    const { nodes } = this.plan.fusion.graph;
    const found = new Set<NodeId>();
    for (const input of nodes[id].inputs) {
      const node = nodes[input];
      if (OPS[node.op].class === "leaf") continue;
      if (!this.isTransparent(node)) found.add(input);
      else for (const operand of this.operandsOf(input)) found.add(operand);
    }
    const operands = [...found];
    this.#operands.set(id, operands);
    return operands;
  }

  /**
   * The forward pass is what the user wrote, and what the gradients need of it alone (GELU's slope, attention's
   * logarithmic sums) where the fuser computes that along with it. A group that also computes gradients is backward.
   */
  #classify(): boolean[] {
    const { graph, groups, groupOf, inline } = this.plan.fusion;
    const isForward: boolean[] = [];
    for (const node of graph.nodes) {
      const { phase, recomputes } = node.origin;
      const { class: opClass } = OPS[node.op];
      const isCheap = opClass !== "contraction" && opClass !== "indexed" && node.op !== "concat";
      isForward.push(
        recomputes === undefined && phase !== "optimizer" &&
          (phase === "forward" || (isCheap && node.inputs.every((input) => isForward[input]))),
      );
    }
    const mixed = new Set<number>();
    for (const { id, nodes } of groups) {
      const all = nodes.every((node) => isForward[node]);
      if (!all || !nodes.some((node) => graph.nodes[node].origin.phase === "forward")) mixed.add(id);
    }
    return isForward.map((value, id) => value && (inline.has(id) || !mixed.has(groupOf[id])));
  }

  /** Position of the work that computes a node. */
  #positions(): number[] {
    const { fusion: { graph, groupOf }, order, storage } = this.plan;
    const ofGroup = new Map<number, number>();
    order.forEach((id, position) => {
      const { group } = storage.works[id];
      if (group) ofGroup.set(group.id, position);
    });
    const positions = graph.nodes.map(() => order.length - 1);
    for (let id = positions.length - 1; id >= 0; id--) {
      const position = ofGroup.get(groupOf[id]);
      if (position !== undefined) positions[id] = position;
      // Without a work of its own it is needed where its first reader is.
      for (const input of graph.nodes[id].inputs) {
        if (!ofGroup.has(groupOf[input])) positions[input] = Math.min(positions[input], positions[id]);
      }
    }
    return positions;
  }

  #collect(): Map<NodeId, ForwardValue> {
    const { fusion: { graph }, storage } = this.plan;
    const positions = this.#positions();
    const isValue = (node: Node) => OPS[node.op].class !== "leaf" && !this.isTransparent(node);
    const lastForward = [...positions];
    const firstRead = positions.map(() => Infinity);
    const firstBackward = positions.map(() => -Infinity);
    const lastUse = [...positions];
    for (let id = graph.nodes.length - 1; id >= 0; id--) {
      if (!isValue(graph.nodes[id])) continue;
      // What the backward pass does not read itself is needed where it recomputes what is made of it.
      if (firstRead[id] < Infinity) firstBackward[id] = firstRead[id];
      for (const operand of this.operandsOf(id)) {
        lastUse[operand] = Math.max(lastUse[operand], positions[id]);
        if (!this.isForward(id)) {
          firstRead[operand] = Math.min(firstRead[operand], positions[id]);
        } else {
          lastForward[operand] = Math.max(lastForward[operand], positions[id]);
          firstBackward[operand] = Math.max(firstBackward[operand], firstBackward[id]);
        }
      }
    }
    const values = new Map<NodeId, ForwardValue>();
    for (const node of graph.nodes) {
      const { id } = node;
      if (!isValue(node) || !this.isForward(id) || firstBackward[id] < 0) continue;
      const home = storage.homes.get(id);
      const kind = home && storage.roots[home.root].kind;
      values.set(id, {
        id,
        operands: this.operandsOf(id).filter((operand) => this.isForward(operand)),
        bytes: bytesOf(node),
        price: recomputePrice(graph, node),
        isRead: firstRead[id] < Infinity,
        isStored: kind === "arena",
        isHeld: kind !== undefined && kind !== "arena",
        made: positions[id],
        lastForward: lastForward[id],
        firstBackward: firstBackward[id],
        lastUse: lastUse[id],
      });
    }
    return values;
  }
}
