/**
 * Common subexpressions and dead code.
 *
 * @module
 */
import { type Graph, GraphBuilder, type NodeId } from "./graph.ts";

/** The same graph without repeated and unused nodes. */
export function simplify(graph: Graph): Graph {
  const live = new Set<NodeId>(graph.outputs.map((output) => output.node));
  for (const node of [...graph.nodes].reverse()) {
    if (node.op === "input") live.add(node.id);
    if (live.has(node.id)) { for (const input of node.inputs) live.add(input); }
  }
  const builder = new GraphBuilder();
  const moved: NodeId[] = [];
  const known = new Map<string, NodeId>();
  for (const node of graph.nodes) {
    if (!live.has(node.id)) {
      moved.push(-1);
      continue;
    }
    const inputs = node.inputs.map((input) => moved[input]);
    const key = `${node.op} ${inputs} ${JSON.stringify(node.attrs)}`;
    let id = node.op === "input" ? undefined : known.get(key);
    if (id === undefined) {
      id = builder.add(node.op, inputs, node.attrs, node.origin);
      known.set(key, id);
    }
    moved.push(id);
  }
  for (const output of graph.outputs) builder.outputs.push({ ...output, node: moved[output.node] });
  return builder.finish();
}
