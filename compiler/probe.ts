/**
 * Looks into a graph: the same computation, with one number about each of its tensors in place of its results. What a graph's
 * results hide (where the first infinity comes from) is found by running the probed graph once.
 *
 * @module
 */
import { isFloat } from "./dtype.ts";
import { type Graph, GraphBuilder, type Node, type NodeId } from "./graph.ts";

/** A graph that tells about its tensors. */
export interface ProbedGraph {
  /** One output, `counts`: f32 [n], for each of `tensors` how many of its values are NaN or infinite. */
  readonly graph: Graph;
  /** Nodes of the graph that was given, in its order. */
  readonly tensors: readonly Node[];
}

/**
 * Counts what is not finite in each float tensor of a graph. Each count follows its tensor at once, so the probed graph needs
 * hardly more memory than the graph.
 *
 * @example
 * ```ts
 * import { probeFinite } from "./probe.ts";
 * import { trace } from "./trace.ts";
 * const graph = trace(({ x }) => ({ y: x.log().exp() }), { x: { shape: [4], dtype: "f32", role: "batch" } });
 * probeFinite(graph).tensors.map(({ op }) => op); // ["input", "log", "exp"]
 * ```
 */
export function probeFinite(graph: Graph): ProbedGraph {
  const builder = new GraphBuilder();
  const moved: NodeId[] = [];
  const counts: NodeId[] = [];
  const tensors: Node[] = [];
  for (const node of graph.nodes) {
    const { op, inputs, attrs, origin } = node;
    const id = builder.add(op, inputs.map((input) => moved[input]), attrs, origin);
    moved.push(id);
    if (!isFloat(node.dtype) || op === "constant") continue;
    builder.origin = origin;
    counts.push(addCount(builder, id));
    tensors.push(node);
  }
  builder.outputs.push({ name: "counts", node: builder.add("concat", counts, { axis: 0 }) });
  return { graph: builder.finish(), tensors };
}

/** Adds the number of bad values of a tensor, as f32 [1]. */
function addCount(builder: GraphBuilder, id: NodeId): NodeId {
  const bad = builder.add("not", [builder.add("isFinite", [id])]);
  const counted = builder.add("cast", [bad], { dtype: "f32" });
  const axes = builder.nodes[id].shape.map((_, axis) => axis);
  const sum = axes.length === 0 ? counted : builder.add("sum", [counted], { axes });
  return builder.add("reshape", [sum], { shape: [1] });
}
