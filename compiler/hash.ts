/**
 * Structural hashes: equal for graphs that compute the same in the same way, whatever their origins.
 *
 * @module
 */
import type { Graph } from "./graph.ts";
import { printGraph } from "./print.ts";

/** 64-bit FNV-1a (Fowler, Noll, Vo) over the UTF-16 units of a text, as 16 hexadecimal digits. */
export function hashText(text: string): string {
  let low = 0x84222325;
  let high = 0xcbf29ce4;
  for (let i = 0; i < text.length; i++) {
    low ^= text.charCodeAt(i);
    // Times the prime 2^40 + 0x1b3, in two 32-bit halves.
    const product = (low >>> 0) * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) | 0;
    low = product | 0;
  }
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}

/**
 * Hash of a graph's structure: ops, edges, attributes, types and outputs, not origins.
 *
 * @example
 * ```ts
 * import { hashGraph, trace } from "@sinter/sinter/compiler";
 * import { assertEquals } from "@std/assert";
 * const spec = { x: { shape: [3], dtype: "f32", role: "batch" } } as const;
 * const exp = () => trace(({ x }) => ({ y: x.exp() }), spec);
 * assertEquals(hashGraph(exp()), hashGraph(exp()));
 * ```
 */
export function hashGraph(graph: Graph): string {
  return hashText(printGraph(graph, { origins: false }));
}
