/**
 * What of a kernel's results the reference computes: everything where that is quick, otherwise the beginning, some of the
 * middle and the end of every stored value, as long a piece of each as the time allows.
 *
 * @module
 */
import { BASELINE, decompose, type Graph, GraphBuilder, type NodeId, sizeOf } from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { stridesOf } from "../../compiler/ops/movement.ts";
import { restrictTo, type Window } from "../../compiler/restrict.ts";

/** Elements of an output that lie side by side. */
export interface Piece {
  /** Name of the output of the excerpt's graph. */
  readonly name: string;
  /** Name of the output that it is a piece of. */
  readonly of: string;
  /** First element. */
  readonly first: number;
  /** Number of elements. */
  readonly elements: number;
}

/** A graph that computes pieces of another's outputs. */
export interface Excerpt {
  /** The graph, without composites. */
  readonly graph: Graph;
  /** Its outputs. */
  readonly pieces: readonly Piece[];
}

/** Elements that should be looked at in any case, by output. */
export type Focus = Readonly<Record<string, number>>;

/** The smallest share of the results that is tried. */
const SMALLEST_SHARE = 2 ** -30;

/**
 * The excerpt that takes at most `limit` seconds.
 *
 * @returns Undefined when even single elements take longer.
 */
export function excerptOf(graph: Graph, limit: number, focus: Focus = {}): Excerpt | undefined {
  const plain = decompose(graph, BASELINE);
  let share = limit / referenceSeconds(plain);
  if (share >= 1) {
    const pieces = plain.outputs.map(({ name, node }) => ({
      name,
      of: name,
      first: 0,
      elements: sizeOf(plain.nodes[node].shape),
    }));
    return { graph: plain, pieces };
  }
  for (; share >= SMALLEST_SHARE; share /= 2) {
    const windows = plain.outputs.flatMap(({ name, node }) =>
      windowsOf(name, node, plain.nodes[node].shape, share, focus[name])
    );
    const excerpt = restrictTo(plain, windows);
    if (referenceSeconds(excerpt) > limit && windows.some(({ elements }) => elements > 1)) continue;
    if (referenceSeconds(excerpt) > limit) return undefined;
    return { graph: excerpt, pieces: windows };
  }
  return undefined;
}

/** Three pieces of about so many elements, and one around the element of interest. */
function windowsOf(
  of: string,
  node: number,
  shape: readonly number[],
  share: number,
  focus?: number,
): (Window & Piece)[] {
  const size = sizeOf(shape);
  const strides = stridesOf(shape);
  const wanted = size * share / 3;
  const axis = Math.max(0, shape.findIndex((length, i) => length > 1 && strides[i] <= wanted));
  const step = strides[axis] ?? 1;
  const length = shape[axis] ?? 1;
  const rows = Math.min(length, Math.max(1, Math.floor(wanted / step)));
  const middle = Math.floor(size / 2);
  const pieces = [0, middle, size - 1, ...focus === undefined ? [] : [focus]].map((element) => {
    const index = strides.map((stride, i) => Math.floor(element / stride) % shape[i]);
    const start = Math.min(index[axis] ?? 0, length - rows);
    const starts = shape.map((_, i) => i < axis ? index[i] : i === axis ? start : 0);
    const ends = shape.map((size, i) => i < axis ? index[i] + 1 : i === axis ? start + rows : size);
    const first = starts.reduce((sum, own, i) => sum + own * strides[i], 0);
    return { name: `${of} from ${first}`, of, node, starts, ends, first, elements: rows * step };
  });
  return [...new Map(pieces.map((piece) => [piece.first, piece])).values()];
}

/**
 * The same graph and inputs with every part that is cut out of an input as an input of its own, so that what is done to all
 * inputs is not done to millions of numbers of which nobody reads any.
 */
export function withPartsOnly(
  { nodes, outputs }: Graph,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
): { readonly graph: Graph; readonly inputs: Readonly<Record<string, ArrayLike<number>>> } {
  const used = new Set(outputs.map(({ node }) => node));
  for (const { op, inputs } of nodes) {
    for (const input of inputs) if (op !== "slice" || nodes[input].op !== "input") used.add(input);
  }
  const builder = new GraphBuilder();
  const values: Record<string, ArrayLike<number>> = {};
  const moved: NodeId[] = [];
  for (const { id, op, inputs: read, attrs, shape, dtype, origin } of nodes) {
    const source = nodes[read[0]];
    if (op === "input" && !used.has(id)) moved.push(-1);
    else if (op === "slice" && source.op === "input") {
      const name = `${source.attrs.name} part ${id}`;
      const given = inputs[source.attrs.name as string];
      const data = given instanceof Float64Array ? given : Float64Array.from(given);
      values[name] = OPS.slice.evaluate!([{ ...source, data }], attrs, { shape, dtype });
      moved.push(builder.add("input", [], { name, role: "batch", shape, dtype }, origin));
    } else {
      if (op === "input") values[attrs.name as string] = inputs[attrs.name as string];
      moved.push(builder.add(op, read.map((input) => moved[input]), attrs, origin));
    }
  }
  for (const output of outputs) builder.outputs.push({ ...output, node: moved[output.node] });
  return { graph: builder.finish(), inputs: values };
}

/** Measured on one core: a multiply-add of a product takes about a nanosecond, an element of anything else ten. */
const SECONDS = { product: 1.2e-9, element: 1.2e-8 };

/** Seconds that the host needs to evaluate a graph without composites, roughly. */
export function referenceSeconds({ nodes }: Graph): number {
  return nodes.reduce((sum, { op, inputs, attrs, shape }) => {
    const size = sizeOf(shape);
    if (op === "constant" || op === "input" || op === "reshape") return sum;
    if (op === "matmul") {
      const [rows, depth] = nodes[inputs[0]].shape.slice(-2);
      return sum + SECONDS.product * size * (attrs.transA ? rows : depth);
    }
    const read = op === "slice" || op === "gather"
      ? 0
      : Math.max(...inputs.map((id) => sizeOf(nodes[id].shape)));
    return sum + SECONDS.element * Math.max(size, read);
  }, 0);
}
