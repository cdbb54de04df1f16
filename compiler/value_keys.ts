/**
 * Names for values that hold across compilations: two programs of the same model, compiled in other modes or for other
 * targets, give a value the same key when both compute it from the inputs by the same operations, however these were
 * grouped into kernels.
 *
 * @module
 */
import { BASELINE } from "./capabilities.ts";
import { decompose } from "./decompose.ts";
import type { Graph, NodeId } from "./graph.ts";
import { hashText } from "./hash.ts";
import { simplify } from "./simplify.ts";

/** Order of the operands does not matter for these. */
const COMMUTATIVE = new Set(["add", "mul", "maximum", "minimum", "eq", "ne", "and", "or"]);

/**
 * The keys of some nodes. Composites that one program keeps whole and another writes out are written out first, and both
 * are simplified again, so that the same value has the same form in both.
 */
export function valueKeys(graph: Graph, ids: readonly NodeId[]): Map<NodeId, string> {
  const outputs = ids.map((node) => ({ name: `${node}`, node }));
  const plain = simplify(decompose({ nodes: graph.nodes, outputs }, BASELINE));
  const hashes: string[] = [];
  for (const { op, inputs, attrs, shape, dtype } of plain.nodes) {
    const operands = inputs.map((input) => hashes[input]);
    if (COMMUTATIVE.has(op)) operands.sort();
    hashes.push(hashText(`${op} ${dtype}[${shape}] ${JSON.stringify(attrs)} ${operands}`));
  }
  return new Map(plain.outputs.map(({ name, node }) => [Number(name), hashes[node]]));
}
