/**
 * Every price that the fuser and the choice of what to recompute use, in one place: legality lives in `fuse_rules.ts`, taste
 * lives here. Costs are in multiply-adds; the figures come from software adapters, where one vec4 load costs as much as 15 to 20
 * multiply-adds on vec4, and hold all the more on GPUs, whose arithmetic is cheaper still.
 *
 * @module
 */
import { attentionSizes } from "./attention.ts";
import { bytesPerElement } from "./dtype.ts";
import { type Graph, type Node, sizeOf } from "./graph.ts";
import { ATTENTION_KERNELS } from "./ops/attention.ts";
import { OPS } from "./ops/mod.ts";
import { matmulSizes } from "./reads.ts";

/** Large tensors that an inlined expression may read: past this, loading its result is cheaper. */
export const MAX_PROLOGUE_LOADS = 3;

/** A chain up to GELU's derivative (about 30) is recomputed rather than stored and loaded. */
const MAX_RECOMPUTE_COST = 40;

/** In a product each operand element is loaded once per tile, so only what is nearly free is recomputed there. */
const MAX_MATMUL_PROLOGUE_COST = 2;

/** A range a quarter of the reader's size or less (a bias, a row statistic) stays in cache and does not count. */
export function isSmallRead([low, high]: readonly [number, number], readerSize: number): boolean {
  return (high - low + 1) * 4 <= readerSize;
}

/** True when computing an expression again is cheaper than a store and a load. */
export function cheapToRecompute(cost: number): boolean {
  return cost <= MAX_RECOMPUTE_COST;
}

/**
 * True when an expression may be evaluated on each load of a product's operand: it must not load anything else, not even
 * a bias, because the inner loop of a product is made of its loads.
 */
export function cheapInMatmul(cost: number, loads: number): boolean {
  return cost <= MAX_MATMUL_PROLOGUE_COST && loads <= 1;
}

/**
 * What moving a byte to or from memory costs, in multiply-adds: a vec4 load of 16 bytes costs as much as 15 to 20
 * multiply-adds on vec4.
 */
const MULTIPLY_ADDS_PER_BYTE = 4;

/** Multiply-adds of computing a node once; 0 for what only moves values. */
export function arithmeticOf(graph: Graph, node: Node): number {
  const { class: opClass, cost = 1 } = OPS[node.op];
  switch (opClass) {
    case "contraction": {
      const { batch, rows, cols, depth } = matmulSizes(graph, node);
      return batch * rows * cols * depth;
    }
    case "attention": {
      const { batch, queries, keys, width } = attentionSizes(graph, node);
      const products = ATTENTION_PRODUCTS[ATTENTION_KERNELS[node.op].kind];
      return products * batch * queries * keys * width * (node.attrs.causal ? 0.5 : 1);
    }
    case "reduce":
      return sizeOf(graph.nodes[node.inputs[0]].shape);
    case "pointwise":
      return cost * sizeOf(node.shape);
    default:
      return 0;
  }
}

/** Products that an attention kernel computes for each pair of a query and a key. */
const ATTENTION_PRODUCTS = { forward: 2, gradQ: 3, gradKV: 4 } as const;

/**
 * The price of computing a node a second time, in multiply-adds: its arithmetic, and for what is not bound by arithmetic
 * the bytes that it moves. A chain of pointwise nodes is fused and pays for fewer bytes than this.
 */
export function recomputePrice(graph: Graph, node: Node): number {
  const { class: opClass } = OPS[node.op];
  const arithmetic = arithmeticOf(graph, node);
  if (opClass === "contraction" || opClass === "attention") return arithmetic;
  const read = opClass === "pointwise" ? 0 : bytesOf(graph.nodes[node.inputs[0]]);
  return arithmetic + MULTIPLY_ADDS_PER_BYTE * (read + bytesOf(node));
}

/** Bytes of a node's value. */
export function bytesOf(node: Node): number {
  return sizeOf(node.shape) * bytesPerElement(node.dtype);
}
