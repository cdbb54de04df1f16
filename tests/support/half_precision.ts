/**
 * Random programs in mixed precision: a program in f32, with some of its float values made f16 or bf16 and casts between.
 * Where fusion keeps a value in registers it is not rounded, where it is stored it is, so no single result is right: the
 * distance between a reference that rounds nothing and one that rounds every such value tells how far apart right results
 * may be.
 *
 * @module
 */
import {
  BASELINE,
  decompose,
  type DType,
  evaluate,
  type Graph,
  GraphBuilder,
  isFloat,
  isHalf,
  type Node,
  type NodeId,
} from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { Prng } from "./prng.ts";
import type { InputValues } from "./random_graph.ts";

/** Only values up to this magnitude are rounded, so that squares and sums over small axes stay in its range. */
const LARGEST = 16;

/** The program with about half of its small float values in `half`; outputs that donate a state keep its dtype. */
export function inHalfPrecision(
  graph: Graph,
  inputs: InputValues,
  seed: number,
  half: "f16" | "bf16" = "f16",
): Graph {
  const prng = new Prng(seed);
  const every = { nodes: graph.nodes, outputs: graph.nodes.map(({ id }) => ({ name: `${id}`, node: id })) };
  const values = evaluate(every, inputs);
  const small = graph.nodes.map(({ id }) => values[id].every((value) => Math.abs(value) <= LARGEST));
  const builder = new GraphBuilder();
  const moved: NodeId[] = [];
  const as = (id: NodeId, dtype: DType) => {
    const at = moved[id];
    return builder.nodes[at].dtype === dtype ? at : builder.add("cast", [at], { dtype });
  };
  for (const node of graph.nodes) {
    const near = [node.id, ...node.inputs];
    const fits = near.every((id) => small[id] && (half === "f16" || hasFours(graph.nodes[id])));
    const dtype = fits && prng.chance(0.6) ? half : "f32";
    const operands = node.inputs.map((id, i) =>
      isFloat(graph.nodes[id].dtype) ? as(id, isStatistic(node, i) ? "f32" : dtype) : moved[id]
    );
    moved.push(builder.add(node.op, operands, attrsIn(node, dtype), node.origin));
  }
  for (const output of graph.outputs) {
    const node = output.donates ? as(output.node, graph.nodes[output.node].dtype) : moved[output.node];
    builder.outputs.push({ ...output, node });
  }
  return builder.finish();
}

/** bf16 is stored four numbers at a time. */
function hasFours({ shape, dtype }: Node): boolean {
  return !isFloat(dtype) || (shape.length > 0 && shape[shape.length - 1] % 4 === 0);
}

/** What the gradients of attention and of the loss take besides their operands is f32 whatever the rest is. */
function isStatistic({ op }: Node, input: number): boolean {
  return OPS[op].class === "attention" ? input >= 4 : op.startsWith("linearCrossEntropyGrad") && input === 3;
}

function attrsIn({ op, attrs, dtype: given }: Node, dtype: DType): Node["attrs"] {
  const chosen = given === "f32" && (op === "cast" || (op === "input" && attrs.role === "batch"));
  return chosen ? { ...attrs, dtype } : attrs;
}

/** Inputs of the program in f32, in the array types of the one in mixed precision. */
export function halfInputs(
  graph: Graph,
  inputs: InputValues,
): Record<string, InputValues[string] | Float16Array | Uint16Array> {
  const entries = graph.nodes.filter(({ op }) => op === "input").map(({ attrs, dtype }) => {
    const values = inputs[attrs.name as string];
    const given = dtype === "f16"
      ? Float16Array.from(values)
      : dtype === "bf16"
      ? Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (bits) => bits >>> 16)
      : values;
    return [attrs.name, given] as const;
  });
  return Object.fromEntries(entries);
}

/** The program's results when every f16 and bf16 value, those inside composites included, is rounded. */
export function evaluateRounded(graph: Graph, inputs: InputValues): Record<string, Float64Array> {
  const builder = new GraphBuilder();
  const moved: NodeId[] = [];
  const { nodes, outputs } = decompose(graph, BASELINE);
  for (const { op, inputs: operands, attrs, dtype } of nodes) {
    const id = builder.add(op, operands.map((operand) => moved[operand]), attrs);
    moved.push(isHalf(dtype) && op !== "input" ? builder.add("cast", [id], { dtype }) : id);
  }
  for (const output of outputs) builder.outputs.push({ ...output, node: moved[output.node] });
  return evaluate(builder.finish(), inputs);
}
