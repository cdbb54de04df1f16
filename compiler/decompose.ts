/**
 * Replaces composites by their decompositions, again and again, until only ops with a kernel of their own are left.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { type Graph, GraphBuilder, type Node, type NodeId } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import { fromNode } from "./tensor.ts";
import { TraceContext, withContext } from "./trace_context.ts";

/** The same graph without composites; every new node keeps the origin of the composite that it comes from. */
export function decompose(graph: Graph, target: Capabilities): Graph {
  const result = new TraceContext(new GraphBuilder());
  return withContext(result, () => {
    const moved = expand(graph.nodes, result, target);
    for (const output of graph.outputs) {
      result.builder.outputs.push({ ...output, node: moved[output.node] });
    }
    return result.builder.finish();
  });
}

/** Copies nodes into `into`; a composite is first written out in a scratch graph, whose nodes may be composites again. */
function expand(nodes: readonly Node[], into: TraceContext, target: Capabilities): NodeId[] {
  const moved: NodeId[] = [];
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => moved[input]);
    const { decompose: written } = OPS[node.op];
    into.fixedOrigin = node.origin;
    if (!written) {
      moved.push(into.add(node.op, inputs, node.attrs));
      continue;
    }
    const before = into.builder.nodes.length;
    const root = written(inputs.map((input) => fromNode(into, input)), node.attrs, target).id;
    moved.push(flatten(into, before, root, target));
  }
  into.fixedOrigin = undefined;
  return moved;
}

/** Expands composites among the nodes from `start` on, which a decomposition has just added. */
function flatten(into: TraceContext, start: number, root: NodeId, target: Capabilities): NodeId {
  const added = into.builder.nodes.splice(start);
  if (!added.some((node) => OPS[node.op].decompose)) {
    into.builder.nodes.push(...added);
    return root;
  }
  const moved = new Map<NodeId, NodeId>();
  const place = (id: NodeId) => moved.get(id) ?? id;
  for (const node of added) {
    const inputs = node.inputs.map(place);
    const { decompose: written } = OPS[node.op];
    if (!written) {
      moved.set(node.id, into.add(node.op, inputs, node.attrs));
      continue;
    }
    const before = into.builder.nodes.length;
    const inner = written(inputs.map((input) => fromNode(into, input)), node.attrs, target).id;
    moved.set(node.id, flatten(into, before, inner, target));
  }
  return place(root);
}
