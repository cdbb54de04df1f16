/**
 * Rules about reductions and products.
 *
 * @module
 */
import { isFloat } from "../dtype.ts";
import { type Node, type NodeId, type Shape, sizeOf } from "../graph.ts";
import { isLiteral } from "./constants.ts";
import { type Draft, inputOf, isOnes, type Rewriter, type Rule, sameNumbers } from "./rule.ts";

function axesOf(node: Pick<Draft, "attrs">): readonly number[] {
  return node.attrs.axes as readonly number[];
}

/** The input without a transpose that only swaps its last two axes. */
function swapped(graph: Rewriter, id: NodeId): NodeId | undefined {
  const x = inputOf(graph, id, "transpose");
  if (!x) return undefined;
  const perm = graph.node(id).attrs.perm as readonly number[];
  const rank = perm.length;
  const swaps = perm.every((axis, i) => axis === (i < rank - 2 ? i : 2 * rank - 3 - i));
  return swaps ? x.id : undefined;
}

/** Axes of the input that remain after `first` and are then named by `second`, in the input's numbering. */
function mergedAxes(shape: Shape, first: readonly number[], second: readonly number[]): number[] {
  const kept = shape.map((_, axis) => axis).filter((axis) => !first.includes(axis));
  return [...first, ...second.map((axis) => kept[axis])].sort((a, b) => a - b);
}

/** Rows of partial sums [stages, n] whose sum down the columns is node `id`, if it is the second stage of such a sum. */
function partialSums(graph: Rewriter, id: NodeId): Node | undefined {
  const node = graph.node(id);
  if (node.op !== "sum" || !sameNumbers(axesOf(node), [0])) return undefined;
  const partial = graph.node(node.inputs[0]);
  return partial.op === "sum" && partial.shape.length === 2 ? partial : undefined;
}

/** The rules about reductions and products. */
export const REDUCTION_RULES: readonly Rule[] = [
  {
    name: "reduce-nothing",
    ops: ["sum", "max"],
    why: "the sum or maximum of one element is that element",
    apply(node, graph) {
      const [input] = node.inputs;
      const { shape } = graph.node(input);
      if (!isOnes(axesOf(node).map((axis) => shape[axis]))) return undefined;
      return graph.add("reshape", [input], { shape: node.shape });
    },
  },
  {
    name: "only-candidate",
    ops: ["argmax"],
    why: "along an axis of size 1 the place of the maximum is 0",
    apply(node, graph) {
      const { shape } = graph.node(node.inputs[0]);
      return shape[node.attrs.axis as number] === 1 ? graph.fill(0, node) : undefined;
    },
  },
  {
    name: "reduce-broadcast",
    ops: ["sum", "max"],
    why: "n equal terms add up to n times one of them, rounded once; their maximum is that one",
    apply(node, graph) {
      const [input] = node.inputs;
      const x = inputOf(graph, input, "broadcast");
      if (!x) return undefined;
      const axes = axesOf(node);
      const wide = graph.node(input).shape;
      const count = sizeOf(axes.map((axis) => wide[axis] / x.shape[axis]));
      if (count === 1 || !isLiteral(count, node.dtype)) return undefined;
      const reduced = graph.add(node.op, [x.id], { axes });
      const { shape } = graph.node(reduced);
      const total = node.op === "max" ? reduced : graph.add("mul", [
        reduced,
        graph.fill(isFloat(node.dtype) ? count : count | 0, { ...node, shape }),
      ]);
      return graph.add("broadcast", [total], { shape: node.shape });
    },
  },
  {
    name: "nested-reductions",
    ops: ["sum", "max"],
    why:
      "a sum of sums is one sum (in another order); rows are left alone, since a row sum fuses with its row",
    apply(node, graph) {
      const inner = graph.node(node.inputs[0]);
      if (inner.op !== node.op) return undefined;
      const x = graph.node(inner.inputs[0]);
      const axes = mergedAxes(x.shape, axesOf(inner), axesOf(node));
      if (axes.includes(x.shape.length - 1)) return undefined;
      return graph.add(node.op, [x.id], { axes });
    },
  },
  {
    name: "concat-of-sums",
    ops: ["concat"],
    why:
      "the sums of partial sums that lie side by side are one sum down longer rows: one launch instead of many",
    apply(node, graph) {
      if (node.shape.length !== 1) return undefined;
      const inputs: NodeId[] = [];
      let run: Node[] = [];
      const close = () => {
        if (run.length < 2) return;
        const joined = graph.add("concat", run.map((partial) => partial.id), { axis: 1 });
        inputs.splice(-run.length, run.length, graph.add("sum", [joined], { axes: [0] }));
      };
      for (const id of node.inputs) {
        const partial = partialSums(graph, id);
        if (run.length > 0 && partial?.shape[0] !== run[0].shape[0]) {
          close();
          run = [];
        }
        inputs.push(id);
        if (partial) run.push(partial);
      }
      close();
      if (inputs.length === node.inputs.length) return undefined;
      return inputs.length === 1 ? inputs[0] : graph.add("concat", inputs, { axis: 0 });
    },
  },
  {
    name: "transposed-operand",
    ops: ["matmul"],
    why: "the flag reads the same elements as the transpose",
    apply(node, graph) {
      const [a, b] = node.inputs;
      const [left, right] = [swapped(graph, a), swapped(graph, b)];
      if (left === undefined && right === undefined) return undefined;
      return graph.add("matmul", [left ?? a, right ?? b], {
        transA: Boolean(node.attrs.transA) !== (left !== undefined),
        transB: Boolean(node.attrs.transB) !== (right !== undefined),
      });
    },
  },
];
