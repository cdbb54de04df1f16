/**
 * The geometry of attention kernels: what a template reads and writes, over the variables `z` (batch times heads), `m`
 * (query), `t` (key) and `n` (channel).
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { type Graph, type Node, sizeOf } from "./graph.ts";
import { type IndexExpr, unravel, variable } from "./index_expr.ts";
import { ATTENTION_KERNELS, ATTENTION_OPERANDS } from "./ops/attention.ts";

/** Bindings of the largest attention kernel: six operands, two results. */
const BINDINGS = 8;

/** Whether the target can run the attention templates. */
export function hasAttention(target: Capabilities): boolean {
  return target.maxStorageBuffers >= BINDINGS;
}

/** Sizes of an attention kernel. */
export type AttentionSizes = Record<"batch" | "queries" | "keys" | "width", number>;

/** Sizes of the problem that `node` is a result of. */
export function attentionSizes(graph: Graph, node: Node): AttentionSizes {
  const [q, k] = node.inputs.map((input) => graph.nodes[input].shape);
  return { batch: sizeOf(q.slice(0, 2)), queries: q[2], keys: k[2], width: q[3] };
}

/** The operands of `node` by name, each with the node that it is and the index at which the template wants it. */
export function attentionOperands(
  graph: Graph,
  node: Node,
): { readonly name: string; readonly id: number; readonly index: IndexExpr[] }[] {
  const { batch, queries, keys, width } = attentionSizes(graph, node);
  const z = unravel(variable("z", batch), graph.nodes[node.inputs[0]].shape.slice(0, 2));
  const query = [...z, variable("m", queries)];
  const key = [...z, variable("t", keys)];
  const n = variable("n", width);
  const index: Record<typeof ATTENTION_OPERANDS[number], IndexExpr[]> = {
    q: [...query, n],
    k: [...key, n],
    v: [...key, n],
    g: [...query, n],
    lse: query,
    delta: query,
  };
  return node.inputs.map((id, i) => ({
    name: ATTENTION_OPERANDS[i],
    id,
    index: index[ATTENTION_OPERANDS[i]],
  }));
}

/** Index of a result's element as the template names it. */
export function attentionPosition(graph: Graph, node: Node): IndexExpr[] {
  const { batch, queries, keys, width } = attentionSizes(graph, node);
  const z = unravel(variable("z", batch), node.shape.slice(0, 2));
  switch (ATTENTION_KERNELS[node.op].result) {
    case "lse":
      return [...z, variable("m", queries)];
    case "dk":
    case "dv":
      return [...z, variable("t", keys), variable("n", width)];
    default:
      return [...z, variable("m", queries), variable("n", width)];
  }
}

/** What two ops must have in common for one kernel to compute both. */
export function attentionKey(node: Node): string {
  return `${ATTENTION_KERNELS[node.op].kind} ${node.inputs.join(",")} ${JSON.stringify(node.attrs)}`;
}
