/**
 * The promises that every graph keeps and every pass relies on. Passes are checked against them in tests; the compiler
 * itself trusts its own graphs.
 *
 * @module
 */
import { GraphError } from "./errors.ts";
import type { Graph, InputRole, Node, NodeId } from "./graph.ts";
import { inferType, OPS } from "./ops/mod.ts";
import { printType } from "./print.ts";

/** A graph that breaks a promise. */
export class InvalidGraphError extends GraphError {
  /**
   * Made with what is wrong and where.
   *
   * @param problem What is wrong, in words.
   * @param node The node where it was found, when there is one.
   */
  constructor(readonly problem: string, readonly node?: NodeId) {
    super(node === undefined ? problem : `%${node}: ${problem}`);
  }
}

const ROLES: readonly InputRole[] = ["state", "batch", "scalar"];

/**
 * Checks a graph: ids are positions, inputs come earlier, sizes are positive integers, types are those of the op table,
 * input and output names are unique, outputs exist, and a donation names a state input of the output's type that no other
 * output takes.
 *
 * @throws {InvalidGraphError} at the first promise that is broken.
 * @example
 * ```ts
 * import { InvalidGraphError, verifyGraph } from "@sinter/sinter/compiler";
 * import { assertThrows } from "@std/assert";
 * assertThrows(() => verifyGraph({ nodes: [], outputs: [{ name: "y", node: 0 }] }), InvalidGraphError);
 * ```
 */
export function verifyGraph(graph: Graph): void {
  graph.nodes.forEach((node, position) => verifyNode(graph, node, position));
  const inputs = verifyInputs(graph);
  verifyOutputs(graph, inputs);
}

function verifyNode(graph: Graph, node: Node, position: number): void {
  const { id, op, inputs, attrs, shape, origin } = node;
  const fail = (problem: string) => new InvalidGraphError(problem, id);
  if (id !== position) throw fail(`stands at position ${position}`);
  if (!OPS[op]) throw fail(`there is no op ${op}`);
  for (const input of inputs) {
    if (!Number.isInteger(input) || input < 0 || input >= id) {
      throw fail(`reads %${input}, which is not earlier`);
    }
  }
  if (shape.some((size) => !Number.isInteger(size) || size < 1)) {
    throw fail(`has a size below 1 in [${shape}]`);
  }
  let inferred;
  try {
    inferred = inferType(op, inputs.map((input) => graph.nodes[input]), attrs, origin.site);
  } catch (error) {
    throw fail((error as Error).message);
  }
  if (printType(inferred) !== printType(node)) {
    throw fail(`is ${printType(node)} but ${op} gives ${printType(inferred)}`);
  }
}

function verifyInputs(graph: Graph): Map<string, Node> {
  const named = new Map<string, Node>();
  for (const node of graph.nodes) {
    if (node.op !== "input") continue;
    const { name, role } = node.attrs;
    if (typeof name !== "string") throw new InvalidGraphError("is an input without a name", node.id);
    if (!ROLES.includes(role as InputRole)) throw new InvalidGraphError(`has no such role: ${role}`, node.id);
    if (named.has(name)) throw new InvalidGraphError(`takes the name ${name} a second time`, node.id);
    named.set(name, node);
  }
  return named;
}

function verifyOutputs(graph: Graph, inputs: ReadonlyMap<string, Node>): void {
  const names = new Set<string>();
  const donated = new Set<string>();
  for (const { name, node: id, donates } of graph.outputs) {
    if (names.has(name)) throw new InvalidGraphError(`output ${name} appears twice`);
    names.add(name);
    const node = graph.nodes[id];
    if (!node) throw new InvalidGraphError(`output ${name} is %${id}, which does not exist`);
    if (donates === undefined) continue;
    const state = inputs.get(donates);
    if (state?.attrs.role !== "state") {
      throw new InvalidGraphError(`output ${name} donates ${donates}, which is no state input`);
    }
    if (printType(state) !== printType(node)) {
      throw new InvalidGraphError(
        `output ${name} is ${printType(node)} but donates ${donates}, which is ${printType(state)}`,
      );
    }
    if (donated.has(donates)) throw new InvalidGraphError(`state ${donates} is donated twice`);
    donated.add(donates);
  }
}
