/**
 * Rules of arithmetic on elements. A rule is here only if every finite float gives the same result, bit for bit, or one
 * that is rounded less often; zeros may change their sign, which nothing in a program tells apart. Left alone on purpose:
 * x·0 and x - x (NaN), sums and products whose order matters, and a cast there and back through a narrower dtype.
 *
 * @module
 */
import { type DType, isFloat, isHalf } from "../dtype.ts";
import type { NodeId } from "../graph.ts";
import { foldValue, isLiteral } from "./constants.ts";
import { type Draft, inputOf, type Rewriter, type Rule } from "./rule.ts";

/** The other operand and the value, when one operand of a binary op is a constant. */
function withConstant(
  node: Draft,
  graph: Rewriter,
): { x: NodeId; value: number; first: boolean } | undefined {
  const [a, b] = node.inputs;
  const right = graph.uniform(b);
  if (right !== undefined) return { x: a, value: right, first: false };
  const left = graph.uniform(a);
  return left === undefined ? undefined : { x: b, value: left, first: true };
}

function isPowerOfTwo(value: number): boolean {
  return value !== 0 && Number.isFinite(value) && Number.isInteger(Math.log2(Math.abs(value))) &&
    2 ** Math.log2(Math.abs(value)) === Math.abs(value);
}

/** Every value of `from` is a value of `to`. */
function widens(from: DType, to: DType): boolean {
  return from === to || from === "bool" || (isHalf(from) && to === "f32");
}

/** x to a power that has an op of its own. */
function power(x: NodeId, exponent: number, graph: Rewriter): NodeId | undefined {
  switch (exponent) {
    case 1:
      return x;
    case 2:
      return graph.add("mul", [x, x]);
    case 0.5:
      return graph.add("sqrt", [x]);
    case -0.5:
      return graph.add("rsqrt", [x]);
    case -1:
      return graph.add("reciprocal", [x]);
  }
}

/** The rules of arithmetic. */
export const ALGEBRA_RULES: readonly Rule[] = [
  {
    name: "add-zero",
    ops: ["add"],
    why: "x + 0 = x",
    apply(node, graph) {
      const known = withConstant(node, graph);
      return known?.value === 0 ? known.x : undefined;
    },
  },
  {
    name: "subtract-zero",
    ops: ["sub"],
    why: "x - 0 = x and 0 - x = -x",
    apply(node, graph) {
      const known = withConstant(node, graph);
      if (known?.value !== 0) return undefined;
      return known.first ? graph.add("neg", [known.x]) : known.x;
    },
  },
  {
    name: "multiply-by-one",
    ops: ["mul"],
    why: "x·1 = x and x·(-1) = -x, without rounding",
    apply(node, graph) {
      const known = withConstant(node, graph);
      if (known?.value === 1) return known.x;
      return known?.value === -1 ? graph.add("neg", [known.x]) : undefined;
    },
  },
  {
    name: "multiply-integer-by-zero",
    ops: ["mul"],
    why: "integers have no NaN, so x·0 = 0",
    apply(node, graph) {
      if (isFloat(node.dtype) || withConstant(node, graph)?.value !== 0) return undefined;
      return graph.fill(0, node);
    },
  },
  {
    name: "divide-by-one",
    ops: ["div"],
    why: "x / 1 = x, x / (-1) = -x and 1 / x is the reciprocal, each rounded the same",
    apply(node, graph) {
      const known = withConstant(node, graph);
      if (!known) return undefined;
      if (known.first) {
        return known.value === 1 && isFloat(node.dtype) ? graph.add("reciprocal", [known.x]) : undefined;
      }
      if (known.value === 1) return known.x;
      return known.value === -1 && isFloat(node.dtype) ? graph.add("neg", [known.x]) : undefined;
    },
  },
  {
    name: "divide-by-power-of-two",
    ops: ["div"],
    why: "dividing by 2^k and multiplying by 2^-k change only the exponent",
    apply(node, graph) {
      const known = withConstant(node, graph);
      if (!known || known.first || !isFloat(node.dtype) || !isPowerOfTwo(known.value)) return undefined;
      const inverse = 1 / known.value;
      return isLiteral(inverse, node.dtype)
        ? graph.add("mul", [known.x, graph.fill(inverse, node)])
        : undefined;
    },
  },
  {
    name: "regroup-constants",
    ops: ["add", "mul"],
    why:
      "a power of two only shifts the exponent, and integers wrap, so these may be regrouped without rounding",
    apply(node, graph) {
      const outer = withConstant(node, graph);
      const below = outer && graph.node(outer.x);
      if (!below || below.op !== node.op) return undefined;
      const inner = withConstant(below, graph);
      if (!inner) return undefined;
      const exact = !isFloat(node.dtype) ||
        (node.op === "mul" && (isPowerOfTwo(outer.value) || isPowerOfTwo(inner.value)));
      const values = [inner, outer].map(({ value }) => ({ value, dtype: node.dtype }));
      const both = exact ? foldValue(node, values) : undefined;
      return both === undefined ? undefined : graph.add(node.op, [inner.x, graph.fill(both, node)]);
    },
  },
  {
    name: "double-negation",
    ops: ["neg", "not"],
    why: "-(-x) = x",
    apply: (node, graph) => inputOf(graph, node.inputs[0], node.op)?.id,
  },
  {
    name: "negated-difference",
    ops: ["neg"],
    why: "-(a - b) = b - a: rounding is symmetric",
    apply(node, graph) {
      const { op, inputs: [a, b] } = graph.node(node.inputs[0]);
      return op === "sub" ? graph.add("sub", [b, a]) : undefined;
    },
  },
  {
    name: "negated-multiple",
    ops: ["neg"],
    why: "-(x·c) = x·(-c): rounding is symmetric",
    apply(node, graph) {
      const below = graph.node(node.inputs[0]);
      const known = below.op === "mul" && isFloat(node.dtype) ? withConstant(below, graph) : undefined;
      return known && graph.add("mul", [known.x, graph.fill(-known.value, node)]);
    },
  },
  {
    name: "add-negated",
    ops: ["add", "sub"],
    why: "a + (-b) is a - b, and a - (-b) is a + b, by definition",
    apply(node, graph) {
      const [a, b] = node.inputs;
      const right = inputOf(graph, b, "neg");
      if (right) return graph.add(node.op === "add" ? "sub" : "add", [a, right.id]);
      const left = node.op === "add" ? inputOf(graph, a, "neg") : undefined;
      return left && graph.add("sub", [b, left.id]);
    },
  },
  {
    name: "multiply-negated",
    ops: ["mul", "div"],
    why: "signs multiply without rounding: (-a)·(-b) = a·b, (-x)·c = x·(-c)",
    apply(node, graph) {
      const [a, b] = node.inputs.map((input) => inputOf(graph, input, "neg"));
      if (!isFloat(node.dtype)) return undefined;
      if (a && b) return graph.add(node.op, [a.id, b.id]);
      const known = withConstant(node, graph);
      const x = known?.first ? b : a;
      if (!known || !x) return undefined;
      const flipped = graph.fill(-known.value, node);
      return graph.add(node.op, known.first ? [flipped, x.id] : [x.id, flipped]);
    },
  },
  {
    name: "even-of-negated",
    ops: ["abs", "cos"],
    why: "|-x| = |x| and cos(-x) = cos(x)",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "neg");
      return x && graph.add(node.op, [x.id]);
    },
  },
  {
    name: "idempotent",
    ops: ["abs", "floor"],
    why: "applying it a second time changes nothing",
    apply: (node, graph) => graph.node(node.inputs[0]).op === node.op ? node.inputs[0] : undefined,
  },
  {
    name: "same-operands",
    ops: ["maximum", "minimum", "and", "or"],
    why: "of two equal values either is the result",
    apply: ({ inputs: [a, b] }) => a === b ? a : undefined,
  },
  {
    name: "known-truth",
    ops: ["and", "or"],
    why: "x and true = x, x and false = false; x or false = x, x or true = true",
    apply(node, graph) {
      const known = withConstant(node, graph);
      if (!known) return undefined;
      const neutral = node.op === "and" ? 1 : 0;
      return known.value === neutral ? known.x : graph.fill(1 - neutral, node);
    },
  },
  {
    name: "small-power",
    ops: ["pow"],
    why:
      "x·x, sqrt(x), rsqrt(x) and 1 / x are these powers, rounded once or twice where pow rounds a logarithm",
    apply(node, graph) {
      const exponent = graph.uniform(node.inputs[1]);
      return exponent === undefined ? undefined : power(node.inputs[0], exponent, graph);
    },
  },
  {
    name: "reciprocal-root",
    ops: ["reciprocal", "sqrt"],
    why:
      "1 / sqrt(x) and sqrt(1 / x) are rsqrt(x), 1 / rsqrt(x) is sqrt(x), with one rounding instead of two",
    apply(node, graph) {
      const [input] = node.inputs;
      const other = inputOf(graph, input, node.op === "sqrt" ? "reciprocal" : "sqrt");
      if (other) return graph.add("rsqrt", [other.id]);
      const root = node.op === "reciprocal" ? inputOf(graph, input, "rsqrt") : undefined;
      return root && graph.add("sqrt", [root.id]);
    },
  },
  {
    name: "decided-select",
    ops: ["select"],
    why: "the condition is known, or both branches are the same",
    apply({ inputs: [condition, a, b] }, graph) {
      if (a === b) return a;
      const value = graph.uniform(condition);
      return value === undefined ? undefined : value ? a : b;
    },
  },
  {
    name: "negated-select",
    ops: ["select"],
    why: "choosing a unless c is choosing b if c",
    apply({ inputs: [condition, a, b] }, graph) {
      const c = inputOf(graph, condition, "not");
      return c && graph.add("select", [c.id, b, a]);
    },
  },
  {
    name: "cast-to-own-dtype",
    ops: ["cast"],
    why: "the values already have that dtype",
    apply: (node, graph) => graph.node(node.inputs[0]).dtype === node.dtype ? node.inputs[0] : undefined,
  },
  {
    name: "cast-of-widened",
    ops: ["cast"],
    why:
      "the first cast keeps every value (f16 or bf16 to f32, bool to numbers), so the second could start from its input",
    apply(node, graph) {
      const x = inputOf(graph, node.inputs[0], "cast");
      const middle = graph.node(node.inputs[0]).dtype;
      return x && widens(x.dtype, middle) ? graph.add("cast", [x.id], { dtype: node.dtype }) : undefined;
    },
  },
];
