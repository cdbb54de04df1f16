/** Graph text. @module */
import type { Graph } from "./graph.ts";
/** Text of a graph. */
export function printGraph(graph: Graph): string {
  return graph.nodes.map((n) =>
    `%${n.id}: ${n.dtype}[${n.shape}] = ${n.op} ${n.inputs.map((i) => `%${i}`).join(" ")} ${
      JSON.stringify(n.attrs)
    }   # ${n.origin.scope} ${n.origin.phase}`
  ).join("\n") + "\n" + JSON.stringify(graph.outputs) + "\n";
}
