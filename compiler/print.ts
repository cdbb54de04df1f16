/**
 * Graph to text, one node a line, that a person can read and `parse.ts` can read back:
 *
 *     %0: f32[4,256] = input {name="x", role="batch"}   # h.0 @model/gpt2.ts:88
 *     %1: f32[4] = sum %0 {axes=[1]}                    #b h.0 @model/gpt2.ts:88
 *     return y=%1
 *
 * After `#` comes the origin: `b` for the backward pass, `o` for the optimizer, nothing for the forward pass; then the
 * scope; then `@` and the source line; then `again %12` for what computes node 12 once more. Attributes that the type
 * already tells (`shape`, `dtype`) are left out.
 *
 * @module
 */
import type { Attrs, Graph, GraphOutput, Node, Origin, TensorType } from "./graph.ts";

/** Options of {@link printGraph}. */
export interface PrintOptions {
  /** Print where nodes come from; true by default. */
  readonly origins?: boolean;
}

/** Attributes that repeat the result's type, by op: not printed when they do. */
export const TYPE_ATTRS: Readonly<Record<string, readonly ("shape" | "dtype")[]>> = {
  input: ["shape", "dtype"],
  constant: ["dtype"],
  iota: ["shape"],
  random: ["shape"],
  reshape: ["shape"],
  broadcast: ["shape"],
  cast: ["dtype"],
};

/** How a phase is marked after `#`. */
export const PHASE_MARKS: Readonly<Record<Origin["phase"], string>> = {
  forward: "",
  backward: "b",
  optimizer: "o",
};

/** Column at which origins start, where the nodes are not longer. */
const ORIGIN_COLUMN = 56;

/** Words that need no quotes. */
const PLAIN = /^[\w.\-/:\\+]+$/;

/**
 * Text of a graph: a line for each node and a `return` line, each ending in a newline.
 *
 * @example
 * ```ts
 * import { printGraph, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.exp() }), { x: { shape: [3], dtype: "f32", role: "batch" } });
 * console.log(printGraph(graph, { origins: false })); // ends with: return y=%1
 * ```
 */
export function printGraph(graph: Graph, { origins = true }: PrintOptions = {}): string {
  const lines = graph.nodes.map((node) => {
    const text = printNode(node);
    const origin = origins ? printOrigin(node.origin) : "";
    return origin ? `${text.padEnd(ORIGIN_COLUMN)} ${origin}` : text;
  });
  return [...lines, printOutputs(graph.outputs)].join("\n") + "\n";
}

/** Text of one node without its origin, such as `%3: f32[2] = sum %2 {axes=[1]}`. */
export function printNode(node: Node): string {
  const attrs = printAttrs(withoutTypeAttrs(node));
  const operands = node.inputs.map((input) => ` %${input}`).join("");
  return `%${node.id}: ${printType(node)} = ${node.op}${operands}${attrs ? ` {${attrs}}` : ""}`;
}

/** Text of a type, such as `f32[2,3]`. */
export function printType({ shape, dtype }: TensorType): string {
  return `${dtype}[${shape.join()}]`;
}

/** Text of the outputs: `return loss=%4, w=%9 (donates w)`. */
export function printOutputs(outputs: readonly GraphOutput[]): string {
  const parts = outputs.map(({ name, node, donates }) =>
    `${word(name)}=%${node}${donates === undefined ? "" : ` (donates ${word(donates)})`}`
  );
  return parts.length === 0 ? "return" : `return ${parts.join(", ")}`;
}

/**
 * Canonical text of attributes: in a fixed order, so that equal attributes have equal texts, and exact, so that different
 * ones (0 and -0, too) have different texts.
 */
export function printAttrs(attrs: Attrs): string {
  const names = Object.keys(attrs);
  if (names.length > 1) names.sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1));
  return names.map((name) => `${name}=${printValue(attrs[name])}`).join(", ");
}

/** Attributes of one op read best in the order of a sentence: starts before ends. The rest is sorted by name. */
function rankOf(name: string): number {
  return name === "name" || name === "starts" || name === "before" ? 0 : 1;
}

function printValue(value: Attrs[string]): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return printNumber(value);
  if (typeof value === "boolean") return String(value);
  return `[${value.map(printNumber).join()}]`;
}

/** `String` gives the shortest digits that read back to the same number, but drops the sign of -0. */
function printNumber(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function withoutTypeAttrs(node: Node): Attrs {
  const repeated = (TYPE_ATTRS[node.op] ?? []).filter((name) =>
    name === "dtype" ? node.attrs.dtype === node.dtype : String(node.attrs.shape) === String(node.shape)
  );
  if (repeated.length === 0) return node.attrs;
  return Object.fromEntries(
    Object.entries(node.attrs).filter(([name]) => !repeated.includes(name as "shape")),
  );
}

function printOrigin({ phase, scope, site, recomputes }: Origin): string {
  const parts = [
    `#${PHASE_MARKS[phase]}`,
    ...scope ? [word(scope)] : [],
    ...site === undefined ? [] : [`@${word(site)}`],
    ...recomputes === undefined ? [] : [`again %${recomputes}`],
  ];
  return parts.join(" ") === "#" ? "" : parts.join(" ");
}

function word(text: string): string {
  return PLAIN.test(text) ? text : JSON.stringify(text);
}
