/**
 * The reference: evaluates every graph in float64 on the CPU, node by node. Every kernel is tested against it.
 *
 * @module
 */
import { BASELINE } from "./capabilities.ts";
import { decompose } from "./decompose.ts";
import { GraphError, InternalError } from "./errors.ts";
import { type Graph, type NodeId, sizeOf } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import type { HostTensor } from "./ops/types.ts";

/** Values of inputs or outputs by name; bool is 0 or 1. */
export type HostValues = Readonly<Record<string, ArrayLike<number>>>;

/**
 * Evaluates a graph and returns its outputs, row-major.
 *
 * @param inputs Row-major values of every input, scalars included (one element).
 * @throws {GraphError} when an input is missing or has the wrong number of elements.
 * @example
 * ```ts
 * import { evaluate, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const graph = trace(({ x }) => ({ sum: x.sum() }), { x: { shape: [3], dtype: "f32", role: "batch" } });
 * assertEquals(evaluate(graph, { x: [1, 2, 3] }).sum, Float64Array.of(6));
 * ```
 */
export function evaluate(graph: Graph, inputs: HostValues): Record<string, Float64Array> {
  const plain = decompose(graph, BASELINE);
  const values = evaluateNodes(plain, inputs);
  return Object.fromEntries(plain.outputs.map(({ name, node }) => [name, values[node].data]));
}

/** Values of every node of a graph without composites; those that nothing reads any more are dropped on the way. */
function evaluateNodes(graph: Graph, inputs: HostValues): HostTensor[] {
  const lastUse = new Map<NodeId, NodeId>();
  for (const node of graph.nodes) for (const input of node.inputs) lastUse.set(input, node.id);
  const kept = new Set(graph.outputs.map((output) => output.node));
  const values: HostTensor[] = [];
  const empty = new Float64Array();
  for (const node of graph.nodes) {
    const { shape, dtype } = node;
    if (node.op === "input") {
      const name = node.attrs.name as string;
      const given = inputs[name];
      if (!given) throw new GraphError(`input ${name} has no value`);
      if (given.length !== sizeOf(shape)) {
        throw new GraphError(
          `input ${name} has ${given.length} elements, shape [${shape}] needs ${sizeOf(shape)}`,
        );
      }
      values.push({ data: given instanceof Float64Array ? given : Float64Array.from(given), shape, dtype });
      continue;
    }
    const { evaluate: compute } = OPS[node.op];
    if (!compute) throw new InternalError(`op ${node.op} has no reference meaning`);
    const data = compute(node.inputs.map((input) => values[input]), node.attrs, node);
    values.push({ data, shape, dtype });
    for (const input of node.inputs) {
      if (lastUse.get(input) === node.id && !kept.has(input)) {
        values[input] = { ...values[input], data: empty };
      }
    }
  }
  return values;
}
