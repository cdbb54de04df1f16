/**
 * The geometry of attention kernels: what a template reads and writes, over the variables `z` (batch times heads), `m`
 * (query), `t` (key) and `n` (channel).
 *
 * @module
 */
import { hasCachedAttention } from "./cached_attention.ts";
import type { Capabilities } from "./capabilities.ts";
import { type Graph, type Node, sizeOf } from "./graph.ts";
import { type IndexExpr, unravel, variable } from "./index_expr.ts";
import type { Keep } from "./decompose.ts";
import type { Optimization } from "./fusion.ts";
import { ATTENTION_KERNELS, ATTENTION_OPERANDS, ATTENTION_OPS } from "./ops/attention.ts";
import { CACHED_ATTENTION } from "./ops/cached_attention.ts";

/** Bindings of the largest attention kernel: six operands, two results. */
const BINDINGS = 8;

/** Which ops are left whole for the attention templates: those that the target can run. */
export function keepsWhole(target: Capabilities, optimizations: ReadonlySet<Optimization>): Keep {
  if (!optimizations.has("attention") || target.maxStorageBuffers < BINDINGS) return () => false;
  return (op, [q]) =>
    ATTENTION_OPS.has(op) || (op === CACHED_ATTENTION && hasCachedAttention(target, q.shape[3]));
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
