/**
 * Sums down the columns of a product's right operand. The gradient of a linear layer's weight is x^T g and that of its
 * bias the column sums of g: a product that reads all of g anyway can add its columns up beside it. On software adapters
 * that is one addition to every 64 multiply-adds; on GPUs only the first row of tiles pays at all. A kernel of its own
 * would read g once more.
 *
 * @module
 */
import { isHalf } from "./dtype.ts";
import { type Graph, type Node, type NodeId, sizeOf } from "./graph.ts";
import { reducedAxes } from "./lower.ts";

/** The product that can compute each column sum as a by-product, by the sum's id. */
export function columnSumPartners(graph: Graph): Map<NodeId, Node> {
  const partners = new Map<NodeId, Node>();
  const products = new Map<string, Node>();
  for (const node of graph.nodes) {
    if (node.op !== "matmul" || node.shape.length !== 2 || node.attrs.transB) continue;
    const [rows, cols] = graph.nodes[node.inputs[1]].shape;
    products.set(keyOf(graph, node.inputs[1], rows, cols), node);
  }
  for (const node of graph.nodes) {
    if (node.op !== "sum") continue;
    const { shape } = graph.nodes[node.inputs[0]];
    const axes = [...reducedAxes(node)].sort((a, b) => a - b);
    if (axes.length === shape.length || axes.some((axis, i) => axis !== i)) continue;
    const cols = sizeOf(node.shape);
    const key = keyOf(graph, node.inputs[0], sizeOf(shape) / cols, cols);
    const product = products.get(key);
    if (!product) continue;
    partners.set(node.id, product);
    products.delete(key); // A product has room for the sums of one reader.
  }
  return partners;
}

/**
 * Equal for equal matrices: reshapes keep row-major order, and casts to f32 every value, so the tensor below them
 * and the sizes say it all.
 */
function keyOf(graph: Graph, id: NodeId, rows: number, cols: number): string {
  let node = graph.nodes[id];
  for (;;) {
    const below = graph.nodes[node.inputs[0]];
    const keepsValues = node.op === "reshape" ||
      (node.op === "cast" && node.dtype === "f32" && isHalf(below.dtype));
    if (!keepsValues) break;
    node = below;
  }
  return `${node.id} ${rows} ${cols}`;
}
