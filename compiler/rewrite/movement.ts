/**
 * Rules about where elements are: movement ops only rename elements, so every rule here is exact.
 *
 * @module
 */
import type { Node, NodeId, Shape } from "../graph.ts";
import { type Draft, inputOf, type Rewriter, type Rule, sameNumbers } from "./rule.ts";

function numbers(node: Draft, name: string): readonly number[] {
  return node.attrs[name] as readonly number[];
}

/** The only axis along which a pad adds elements, if there is only one. */
function paddedAxis(node: Node): number | undefined {
  const axes = node.shape.map((_, axis) => axis)
    .filter((axis) => numbers(node, "before")[axis] + numbers(node, "after")[axis] > 0);
  return axes.length === 1 ? axes[0] : undefined;
}

/** `list` with another value at `axis`. */
function replaced(list: readonly number[], axis: number, value: number): number[] {
  return list.map((old, i) => i === axis ? value : old);
}

/** The slice that two slices of one tensor, next to each other along `axis`, amount to. */
function joinedSlice(graph: Rewriter, a: NodeId, b: NodeId, axis: number): NodeId | undefined {
  const [left, right] = [graph.node(a), graph.node(b)];
  if (left.op !== "slice" || right.op !== "slice" || left.inputs[0] !== right.inputs[0]) return undefined;
  const [starts, ends] = [numbers(left, "starts"), numbers(right, "ends")];
  const fits = sameNumbers(numbers(right, "starts"), replaced(starts, axis, numbers(left, "ends")[axis])) &&
    sameNumbers(numbers(left, "ends"), replaced(ends, axis, numbers(left, "ends")[axis]));
  return fits ? graph.add("slice", left.inputs, { starts, ends }) : undefined;
}

/** Slice of `id`; along axes where the source has size 1 and `shape` does not, its only element. */
function sliceOfBroadcast(graph: Rewriter, source: Node, node: Draft): NodeId {
  const stretched = (axis: number) => source.shape[axis] === 1;
  const starts = numbers(node, "starts").map((start, axis) => stretched(axis) ? 0 : start);
  const ends = numbers(node, "ends").map((end, axis) => stretched(axis) ? 1 : end);
  return graph.add("broadcast", [graph.add("slice", [source.id], { starts, ends })], { shape: node.shape });
}

function axesLargerThanOne(shape: Shape, order: readonly number[]): number[] {
  return order.filter((axis) => shape[axis] !== 1);
}

/** The rules about movement. */
export const MOVEMENT_RULES: readonly Rule[] = [
  {
    name: "same-shape",
    ops: ["reshape", "broadcast"],
    why: "the tensor already has that shape",
    apply(node, graph) {
      const [input] = node.inputs;
      return sameNumbers(graph.node(input).shape, node.shape) ? input : undefined;
    },
  },
  {
    name: "reshape-of-reshape",
    ops: ["reshape"],
    why: "row-major order survives every reshape, so only the last one counts",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "reshape");
      return x && graph.add("reshape", [x.id], { shape: node.shape });
    },
  },
  {
    name: "broadcast-of-broadcast",
    ops: ["broadcast"],
    why: "axes of size 1 are stretched in one go",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "broadcast");
      return x && graph.add("broadcast", [x.id], { shape: node.shape });
    },
  },
  {
    name: "transpose-in-place",
    ops: ["transpose"],
    why: "the axes larger than 1 keep their order, so row-major order stays: a reshape at most",
    apply(node, graph) {
      const [input] = node.inputs;
      const { shape } = graph.node(input);
      const moving = axesLargerThanOne(shape, numbers(node, "perm"));
      if (moving.some((axis, i) => i > 0 && axis < moving[i - 1])) return undefined;
      return graph.add("reshape", [input], { shape: node.shape });
    },
  },
  {
    name: "transpose-of-transpose",
    ops: ["transpose"],
    why: "two permutations are one",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "transpose");
      if (!x) return undefined;
      const first = numbers(graph.node(node.inputs[0]), "perm");
      const perm = numbers(node, "perm").map((axis) => first[axis]);
      return graph.add("transpose", [x.id], { perm });
    },
  },
  {
    name: "transpose-of-broadcast",
    ops: ["transpose"],
    why: "stretching and reordering axes commute",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "broadcast");
      if (!x) return undefined;
      const moved = graph.add("transpose", [x.id], { perm: numbers(node, "perm") });
      return graph.add("broadcast", [moved], { shape: node.shape });
    },
  },
  {
    name: "whole-slice",
    ops: ["slice"],
    why: "every element is taken",
    apply(node, graph) {
      const [input] = node.inputs;
      return sameNumbers(graph.node(input).shape, node.shape) ? input : undefined;
    },
  },
  {
    name: "slice-of-slice",
    ops: ["slice"],
    why: "the ranges add up",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "slice");
      if (!x) return undefined;
      const offsets = numbers(graph.node(node.inputs[0]), "starts");
      const shifted = (name: string) => numbers(node, name).map((at, axis) => at + offsets[axis]);
      return graph.add("slice", [x.id], { starts: shifted("starts"), ends: shifted("ends") });
    },
  },
  {
    name: "slice-of-concat",
    ops: ["slice"],
    why: "the range lies inside one piece",
    apply(node, graph) {
      const joined = graph.node(node.inputs[0]);
      if (joined.op !== "concat") return undefined;
      const axis = joined.attrs.axis as number;
      const [starts, ends] = [numbers(node, "starts"), numbers(node, "ends")];
      let offset = 0;
      for (const piece of joined.inputs) {
        const size = graph.node(piece).shape[axis];
        if (starts[axis] >= offset && ends[axis] <= offset + size) {
          return graph.add("slice", [piece], {
            starts: replaced(starts, axis, starts[axis] - offset),
            ends: replaced(ends, axis, ends[axis] - offset),
          });
        }
        offset += size;
      }
      return undefined;
    },
  },
  {
    name: "slice-of-pad",
    ops: ["slice"],
    why: "the range holds no padding, or nothing else",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "pad");
      if (!x) return undefined;
      const before = numbers(graph.node(node.inputs[0]), "before");
      const starts = numbers(node, "starts").map((start, axis) => start - before[axis]);
      const ends = numbers(node, "ends").map((end, axis) => end - before[axis]);
      if (x.shape.some((size, axis) => ends[axis] <= 0 || starts[axis] >= size)) return graph.fill(0, node);
      if (x.shape.some((size, axis) => starts[axis] < 0 || ends[axis] > size)) return undefined;
      return graph.add("slice", [x.id], { starts, ends });
    },
  },
  {
    name: "slice-of-broadcast",
    ops: ["slice"],
    why: "along a stretched axis all elements are the same",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "broadcast");
      return x && sliceOfBroadcast(graph, x, node);
    },
  },
  {
    name: "empty-pad",
    ops: ["pad"],
    why: "nothing is added",
    apply(node, graph) {
      const [input] = node.inputs;
      return sameNumbers(graph.node(input).shape, node.shape) ? input : undefined;
    },
  },
  {
    name: "pad-of-pad",
    ops: ["pad"],
    why: "zeros around zeros",
    apply(node, graph) {
      const inner = graph.node(node.inputs[0]);
      if (inner.op !== "pad") return undefined;
      const total = (name: string) =>
        numbers(node, name).map((size, axis) => size + numbers(inner, name)[axis]);
      return graph.add("pad", inner.inputs, { before: total("before"), after: total("after") });
    },
  },
  {
    name: "concat-of-one",
    ops: ["concat"],
    why: "there is nothing to join",
    apply: ({ inputs }) => inputs.length === 1 ? inputs[0] : undefined,
  },
  {
    name: "concat-of-concat",
    ops: ["concat"],
    why: "pieces of a piece along the same axis are pieces",
    apply(node, graph) {
      const { axis } = node.attrs;
      const isJoined = (id: NodeId) => graph.node(id).op === "concat" && graph.node(id).attrs.axis === axis;
      if (!node.inputs.some(isJoined)) return undefined;
      const pieces = node.inputs.flatMap((id) => isJoined(id) ? graph.node(id).inputs : [id]);
      return graph.add("concat", pieces, { axis });
    },
  },
  {
    name: "concat-of-neighbours",
    ops: ["concat"],
    why: "neighbouring slices of one tensor, side by side, are a longer slice of it",
    apply(node, graph) {
      const axis = node.attrs.axis as number;
      const pieces: NodeId[] = [];
      for (const input of node.inputs) {
        const joined = pieces.length > 0 ? joinedSlice(graph, pieces.at(-1)!, input, axis) : undefined;
        if (joined === undefined) pieces.push(input);
        else pieces[pieces.length - 1] = joined;
      }
      return pieces.length < node.inputs.length ? graph.add("concat", pieces, { axis }) : undefined;
    },
  },
  {
    name: "sum-of-neighbours",
    ops: ["add"],
    why:
      "where one of two padded tensors has elements the other has zeros, so their sum is both side by side",
    apply(node, graph) {
      const [a, b] = node.inputs.map((input) => graph.node(input));
      if (a.op !== "pad" || b.op !== "pad") return undefined;
      const axis = paddedAxis(a);
      if (axis === undefined || axis !== paddedAxis(b)) return undefined;
      const [first, second] = numbers(a, "before")[axis] < numbers(b, "before")[axis] ? [a, b] : [b, a];
      if (node.shape[axis] - numbers(first, "after")[axis] !== numbers(second, "before")[axis]) {
        return undefined;
      }
      const joined = graph.add("concat", [first.inputs[0], second.inputs[0]], { axis });
      return graph.add("pad", [joined], {
        before: numbers(first, "before"),
        after: numbers(second, "after"),
      });
    },
  },
];
