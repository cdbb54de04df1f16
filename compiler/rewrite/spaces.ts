/**
 * Rules that let arithmetic happen on the smallest tensor: pointwise ops move below broadcasts and reshapes.
 *
 * @module
 */
import { type NodeId, type Shape, sizeOf } from "../graph.ts";
import { OPS } from "../ops/mod.ts";
import { type Rewriter, type Rule, sameNumbers } from "./rule.ts";

const POINTWISE = Object.keys(OPS).filter((op) => OPS[op].class === "pointwise");

/** Node `id` in a shape to which its axes of size 1 are stretched. */
function stretch(graph: Rewriter, id: NodeId, shape: Shape): NodeId {
  return graph.add("broadcast", [id], { shape });
}

/** The rules that move pointwise ops below movement. */
export const SPACE_RULES: readonly Rule[] = [
  {
    name: "below-broadcast",
    ops: POINTWISE,
    why: "equal operands give equal results, so one of each is computed and stretched afterwards",
    apply(node, graph) {
      const rank = node.shape.length;
      const common = new Array<number>(rank).fill(1);
      const sources = node.inputs.map((input) => {
        if (graph.uniform(input) !== undefined) return undefined;
        const operand = graph.node(input);
        const source = operand.op === "broadcast" ? graph.node(operand.inputs[0]) : operand;
        for (let axis = 0; axis < rank; axis++) common[axis] = Math.max(common[axis], source.shape[axis]);
        return source.id;
      });
      if (sizeOf(common) === sizeOf(node.shape) || sources.every((source) => source === undefined)) {
        return undefined;
      }
      const operands = node.inputs.map((input, i) => {
        const source = sources[i];
        if (source !== undefined) return stretch(graph, source, common);
        return graph.fill(graph.uniform(input)!, { shape: common, dtype: graph.node(input).dtype });
      });
      return stretch(graph, graph.add(node.op, operands, node.attrs), node.shape);
    },
  },
  {
    name: "below-reshape",
    ops: POINTWISE,
    why: "operands that are reshaped alike meet in the same pairs before",
    apply(node, graph) {
      let shape: Shape | undefined;
      const sources: (NodeId | undefined)[] = [];
      for (const input of node.inputs) {
        const operand = graph.node(input);
        if (graph.uniform(input) !== undefined) {
          sources.push(undefined);
          continue;
        }
        if (operand.op !== "reshape") return undefined;
        const source = graph.node(operand.inputs[0]);
        if (shape && !sameNumbers(shape, source.shape)) return undefined;
        shape = source.shape;
        sources.push(source.id);
      }
      if (!shape) return undefined;
      const operands = node.inputs.map((input, i) =>
        sources[i] ?? graph.fill(graph.uniform(input)!, { shape: shape!, dtype: graph.node(input).dtype })
      );
      return graph.add("reshape", [graph.add(node.op, operands, node.attrs)], { shape: node.shape });
    },
  },
];
