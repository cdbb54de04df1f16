/**
 * Writes recomputation into a graph: whatever of the backward pass reads one of the chosen values gets a copy of the nodes
 * that compute it, placed just before. Nothing may merge equal nodes afterwards; the fuser keeps copies out of the forward
 * pass's kernels by their origin.
 *
 * @module
 */
import type { Graph, Node, NodeId, Origin } from "./graph.ts";
import type { ForwardValues } from "./kept.ts";
import { OPS } from "./ops/mod.ts";

/** The same graph, in which the backward pass computes the values `again` itself instead of reading them. */
export function recomputeInGraph(forward: ForwardValues, again: ReadonlySet<NodeId>): Graph {
  const { graph } = forward.plan.fusion;
  const nodes: Node[] = [];
  const moved: NodeId[] = [];
  const late = new Map<NodeId, NodeId>();

  const push = (node: Node, inputs: readonly NodeId[], origin: Origin): NodeId => {
    const id = nodes.length;
    nodes.push({ ...node, id, inputs, origin });
    return id;
  };
  /** The node that stands for `id` in the backward pass. */
  const lateOf = (id: NodeId): NodeId => {
    const known = late.get(id);
    if (known !== undefined) return known;
    const node = graph.nodes[id];
    let result = moved[id];
    const isCopied = again.has(id);
    if (OPS[node.op].class !== "leaf" && (isCopied || forward.isTransparent(node))) {
      const inputs = node.inputs.map(lateOf);
      if (isCopied || inputs.some((input, i) => input !== moved[node.inputs[i]])) {
        result = push(node, inputs, { ...node.origin, phase: "backward", recomputes: moved[id] });
      }
    }
    late.set(id, result);
    return result;
  };
  for (const node of graph.nodes) {
    const isEarly = forward.isForward(node.id) || forward.isTransparent(node) ||
      OPS[node.op].class === "leaf";
    const inputs = node.inputs.map((input) => isEarly ? moved[input] : lateOf(input));
    moved.push(push(node, inputs, node.origin));
  }
  const outputs = graph.outputs.map((output) => ({ ...output, node: moved[output.node] }));
  return withoutDead({ nodes, outputs });
}

/** Drops what no output needs, inputs apart; a copy whose original is dropped is the only one that computes its value. */
function withoutDead({ nodes, outputs }: Graph): Graph {
  const live = nodes.map((node) => node.op === "input");
  for (const { node } of outputs) live[node] = true;
  for (let id = nodes.length - 1; id >= 0; id--) {
    if (live[id]) { for (const input of nodes[id].inputs) live[input] = true; }
  }
  let next = 0;
  const places = live.map((isLive) => isLive ? next++ : -1);
  const kept = nodes.filter(({ id }) => live[id]).map((node): Node => {
    const { origin } = node;
    const original = origin.recomputes;
    const recomputes = original === undefined || !live[original] ? places[node.id] : places[original];
    return {
      ...node,
      id: places[node.id],
      inputs: node.inputs.map((input) => places[input]),
      origin: original === undefined ? origin : { ...origin, recomputes },
    };
  });
  return { nodes: kept, outputs: outputs.map((output) => ({ ...output, node: places[output.node] })) };
}
