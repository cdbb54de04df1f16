/**
 * Replaces composites, and ops whose template is not wanted, by their decompositions, again and again, until only ops
 * with a kernel of their own are left.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { type Graph, GraphBuilder, type Node, type NodeId, type TensorType } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import { fromNode } from "./tensor.ts";
import { TraceContext, withContext } from "./trace_context.ts";

/**
 * The same graph without composites; every new node keeps the origin of the composite that it comes from.
 *
 * @param keep Which ops that have a decomposition are left all the same; none by default.
 * @example
 * ```ts
 * import { BASELINE, decompose, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.softmax() }), { x: { shape: [2, 4], dtype: "f32", role: "batch" } });
 * console.log(decompose(graph, BASELINE).nodes.map((node) => node.op)); // max, sub, exp, sum, div and movement
 * ```
 */
export function decompose(
  graph: Graph,
  target: Capabilities,
  keep: Keep = () => false,
): Graph {
  const result = new TraceContext(new GraphBuilder());
  return withContext(result, () => {
    const moved = expand(graph.nodes, result, target, keep);
    for (const output of graph.outputs) {
      result.builder.outputs.push({ ...output, node: moved[output.node] });
    }
    return result.builder.finish();
  });
}

/** Whether an op with these inputs is left as it is, for a template. */
export type Keep = (op: string, inputs: readonly TensorType[]) => boolean;

/** Copies nodes into `into`, each composite written out in its place. */
function expand(nodes: readonly Node[], into: TraceContext, target: Capabilities, keep: Keep): NodeId[] {
  const moved: NodeId[] = [];
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => moved[input]);
    moved.push(into.withOrigin(node.origin, () => place(node, inputs, into, target, keep)));
  }
  return moved;
}

/** Adds an op, or the ops that a composite stands for, whose own composites are expanded in turn. */
function place(
  node: Node,
  inputs: readonly NodeId[],
  into: TraceContext,
  target: Capabilities,
  keep: Keep,
): NodeId {
  const { decompose: write } = OPS[node.op];
  const types = inputs.map((input) => into.builder.nodes[input]);
  if (!write || keep(node.op, types)) return into.add(node.op, inputs, node.attrs);
  const start = into.builder.nodes.length;
  const root = write(inputs.map((input) => fromNode(into, input)), node.attrs, target).id;
  return flatten(into, start, root, target, keep);
}

/** Expands composites among the nodes from `start` on, which a decomposition has just added. */
function flatten(into: TraceContext, start: number, root: NodeId, target: Capabilities, keep: Keep): NodeId {
  const { nodes } = into.builder;
  if (!nodes.slice(start).some((node) => OPS[node.op].decompose)) return root;
  const moved = new Map<NodeId, NodeId>();
  const movedTo = (id: NodeId) => moved.get(id) ?? id;
  for (const node of nodes.splice(start)) {
    moved.set(node.id, place(node, node.inputs.map(movedTo), into, target, keep));
  }
  return movedTo(root);
}
