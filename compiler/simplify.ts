/**
 * Simplification: the same values from fewer and smaller nodes. The graph is rebuilt front to back; each node is offered
 * to the rules of `rewrite/`, whose answers are offered to them again, so that one pass ends at a fixed point. Equal
 * nodes are built once, and what no output needs is dropped at the end.
 *
 * @module
 */
import { InternalError } from "./errors.ts";
import type { Attrs, Graph, Node, NodeId, Origin, TensorType } from "./graph.ts";
import { inferType } from "./ops/mod.ts";
import { printAttrs, printType } from "./print.ts";
import { type Draft, isOnes, type Rewriter, type Rule, sameNumbers } from "./rewrite/rule.ts";
import { RULES } from "./rewrite/rules.ts";

/** One use of a rule. */
export interface AppliedRule {
  /** Name of the rule, or `common-subexpression`. */
  readonly rule: string;
  /** Node of the graph that was simplified. */
  readonly node: NodeId;
  /** Node of the simplified graph that the rule answered with; undefined when it was simplified away in turn. */
  readonly replacement?: NodeId;
}

/** Options of {@link simplify}. */
export interface SimplifyOptions {
  /** Called for each rule that was applied, in order, after the graph is finished. */
  readonly record?: (applied: AppliedRule) => void;
  /** Names of rules to leave out. */
  readonly without?: readonly string[];
}

/**
 * The simplified graph: equal outputs for finite inputs, to rounding, with every input kept. A node that replaces another
 * takes over its origin.
 *
 * @example
 * ```ts
 * import { printGraph, simplify, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.transpose().transpose().add(0) }), {
 *   x: { shape: [2, 3], dtype: "f32", role: "batch" },
 * });
 * console.log(printGraph(simplify(graph, { record: ({ rule, node }) => console.log(rule, "at", node) }))); // y = x
 * ```
 */
export function simplify(graph: Graph, { record, without = [] }: SimplifyOptions = {}): Graph {
  const builder = new SimplifyingBuilder(RULES.filter((rule) => !without.includes(rule.name)));
  const roots = graph.outputs.map((output) => output.node);
  const live = liveNodes(graph.nodes, roots);
  const moved: NodeId[] = [];
  for (const node of graph.nodes) {
    moved.push(live[node.id] ? builder.replay(node, node.inputs.map((input) => moved[input])) : -1);
  }
  const places = compact(builder.nodes, roots.map((root) => moved[root]));
  const nodes: Node[] = [];
  for (const node of builder.nodes) {
    const id = places[node.id];
    if (id >= 0) nodes.push({ ...node, id, inputs: node.inputs.map((input) => places[input]) });
  }
  if (record) {
    for (const { rule, node, result } of builder.applied) {
      const replacement = places[result];
      record({ rule, node, ...(replacement >= 0 ? { replacement } : {}) });
    }
  }
  const outputs = graph.outputs.map((output) => ({ ...output, node: places[moved[output.node]] }));
  return { nodes, outputs };
}

/** For each node, whether a root depends on it; inputs always count, since callers supply them by name. */
function liveNodes(nodes: readonly Node[], roots: readonly NodeId[]): boolean[] {
  const live = nodes.map((node) => node.op === "input");
  for (const root of roots) live[root] = true;
  for (let id = nodes.length - 1; id >= 0; id--) {
    if (live[id]) { for (const input of nodes[id].inputs) live[input] = true; }
  }
  return live;
}

/** New position of each node once dead ones are gone; -1 for those. */
function compact(nodes: readonly Node[], roots: readonly NodeId[]): NodeId[] {
  let next = 0;
  return liveNodes(nodes, roots).map((isLive) => isLive ? next++ : -1);
}

/** Ops whose operands may be swapped without changing a bit. */
const COMMUTATIVE = new Set(["add", "mul", "maximum", "minimum", "eq", "ne", "and", "or"]);
/** Ops that hand on a constant unchanged. */
const UNIFORM_MOVES = new Set(["reshape", "transpose", "broadcast", "slice"]);

class SimplifyingBuilder implements Rewriter {
  readonly nodes: Node[] = [];
  readonly applied: { rule: string; node: NodeId; result: NodeId }[] = [];
  readonly #rules = new Map<string, Rule[]>();
  readonly #known = new Map<string, NodeId>();
  readonly #uniform: (number | undefined)[] = [];
  #source: Pick<Node, "id" | "origin"> = { id: 0, origin: { scope: "", phase: "forward" } };

  constructor(rules: readonly Rule[]) {
    for (const rule of rules) {
      for (const op of rule.ops) {
        const list = this.#rules.get(op);
        if (list) list.push(rule);
        else this.#rules.set(op, [rule]);
      }
    }
  }

  /** Rebuilds a node of the old graph over the new inputs. */
  replay(node: Node, inputs: readonly NodeId[]): NodeId {
    this.#source = node;
    if (node.op === "input") return this.#push({ ...node, inputs });
    const before = this.nodes.length;
    const rules = this.applied.length;
    const id = this.add(node.op, inputs, node.attrs);
    if (id < before && rules === this.applied.length) this.#record("common-subexpression", id);
    return id;
  }

  node(id: NodeId): Node {
    return this.nodes[id];
  }

  uniform(id: NodeId): number | undefined {
    return this.#uniform[id];
  }

  add(op: string, inputs: readonly NodeId[], attrs: Attrs = {}): NodeId {
    const key = keyOf(op, inputs, attrs);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const types = inputs.map((input) => this.nodes[input]);
    const id = this.#simplified({
      op,
      inputs,
      attrs,
      ...inferType(op, types, attrs, this.#source.origin.site),
    });
    this.#known.set(key, id);
    return id;
  }

  fill(value: number, { shape, dtype }: TensorType): NodeId {
    const scalar = this.add("constant", [], { value, dtype });
    if (shape.length === 0) return scalar;
    const ones = this.add("reshape", [scalar], { shape: shape.map(() => 1) });
    return isOnes(shape) ? ones : this.add("broadcast", [ones], { shape });
  }

  #simplified(draft: Draft): NodeId {
    for (const rule of this.#rules.get(draft.op) ?? []) {
      const result = rule.apply(draft, this);
      if (result === undefined) continue;
      const { shape, dtype } = this.nodes[result];
      if (dtype !== draft.dtype || !sameNumbers(shape, draft.shape)) {
        throw new InternalError(
          `${rule.name} turned ${printType(draft)} into ${printType(this.nodes[result])}`,
        );
      }
      this.#record(rule.name, result);
      return result;
    }
    return this.#push(draft);
  }

  #push({ op, inputs, attrs, shape, dtype }: Draft): NodeId {
    const id = this.nodes.length;
    const origin: Origin = this.#source.origin;
    this.nodes.push({ id, op, inputs, attrs, shape, dtype, origin });
    this.#uniform.push(
      op === "constant"
        ? attrs.value as number
        : UNIFORM_MOVES.has(op)
        ? this.#uniform[inputs[0]]
        : undefined,
    );
    return id;
  }

  #record(rule: string, result: NodeId): void {
    this.applied.push({ rule, node: this.#source.id, result });
  }
}

function keyOf(op: string, inputs: readonly NodeId[], attrs: Attrs): string {
  const order = COMMUTATIVE.has(op) && inputs[0] > inputs[1] ? [inputs[1], inputs[0]] : inputs;
  return `${op} ${order} ${printAttrs(attrs)}`;
}
