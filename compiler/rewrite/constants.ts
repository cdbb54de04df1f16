/**
 * Rules about constants. A constant of shape [n, m] is written `broadcast(reshape(constant))`; the rules keep to that one
 * form, so that equal constants are equal nodes.
 *
 * Floats fold in float64, which is what the reference computes: the result is rounded once, when it becomes a literal,
 * instead of once for each op. What the dtype could not hold (infinities, NaN, subnormals) is left to the device.
 *
 * @module
 */
import type { DType } from "../dtype.ts";
import type { NodeId } from "../graph.ts";
import { OPS } from "../ops/mod.ts";
import { type Draft, isOnes, type Rewriter, type Rule } from "./rule.ts";

const LARGEST: Partial<Record<DType, number>> = {
  f32: 3.4028234663852886e38,
  f16: 65504,
  bf16: 3.3895313892515355e38,
};
const SMALLEST_NORMAL: Partial<Record<DType, number>> = {
  f32: 2 ** -126,
  f16: 2 ** -14,
  bf16: 2 ** -126,
};

/** True when a literal of `dtype` can stand for `value`: in range, and in normal form where it is a float. */
export function isLiteral(value: number, dtype: DType): boolean {
  const largest = LARGEST[dtype];
  // WGSL has no literal for the smallest i32: it negates a number that is one too large.
  if (largest === undefined) return Number.isInteger(value) && value > -(2 ** 31);
  const magnitude = Math.abs(value);
  return magnitude <= largest && (value === 0 || magnitude >= SMALLEST_NORMAL[dtype]!);
}

/** A number with its type. */
export interface Scalar {
  readonly value: number;
  readonly dtype: DType;
}

/** Value of a pointwise op on numbers, or undefined where no literal of the result's dtype can hold it. */
export function foldValue(node: Pick<Draft, "op" | "attrs" | "dtype">, values: readonly Scalar[]) {
  const scalars = values.map(({ value, dtype }) => ({ data: Float64Array.of(value), shape: [], dtype }));
  const [result] = OPS[node.op].evaluate!(scalars, node.attrs, { shape: [], dtype: node.dtype });
  return isLiteral(result, node.dtype) ? result : undefined;
}

const POINTWISE = Object.keys(OPS).filter((op) => OPS[op].class === "pointwise");

/** True for the nodes of which `Rewriter.fill` builds a constant. */
function isCanonical(node: Draft, graph: Rewriter): boolean {
  const below = graph.node(node.inputs[0]);
  if (node.op === "reshape") return below.op === "constant" && isOnes(node.shape);
  return node.op === "broadcast" && below.op === "reshape" && graph.node(below.inputs[0]).op === "constant";
}

/** The rules about constants. */
export const CONSTANT_RULES: readonly Rule[] = [
  {
    name: "fold-constants",
    ops: POINTWISE,
    why: "the reference meaning of the op on one element is its meaning on all of them",
    apply(node, graph) {
      const values: Scalar[] = [];
      for (const input of node.inputs) {
        const value = graph.uniform(input);
        if (value === undefined) return undefined;
        values.push({ value, dtype: graph.node(input).dtype });
      }
      const result = foldValue(node, values);
      return result === undefined ? undefined : graph.fill(result, node);
    },
  },
  {
    name: "moved-constant",
    ops: ["reshape", "transpose", "broadcast", "slice"],
    why: "equal elements stay equal wherever they are moved",
    apply(node, graph) {
      const value = graph.uniform(node.inputs[0]);
      return value === undefined || isCanonical(node, graph) ? undefined : graph.fill(value, node);
    },
  },
  {
    name: "padded-zeros",
    ops: ["pad"],
    why: "zeros around zeros are zeros",
    apply: (node, graph) => graph.uniform(node.inputs[0]) === 0 ? graph.fill(0, node) : undefined,
  },
  {
    name: "joined-constants",
    ops: ["concat"],
    why: "equal elements side by side are equal elements",
    apply(node, graph): NodeId | undefined {
      const value = graph.uniform(node.inputs[0]);
      if (value === undefined || node.inputs.some((input) => graph.uniform(input) !== value)) {
        return undefined;
      }
      return graph.fill(value, node);
    },
  },
  {
    name: "single-index",
    ops: ["iota"],
    why: "the only index of an axis of size 1 is 0",
    apply: (node, graph) => node.shape[node.attrs.axis as number] === 1 ? graph.fill(0, node) : undefined,
  },
];
