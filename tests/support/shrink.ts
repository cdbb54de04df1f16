/**
 * Makes a failing graph smaller while it keeps failing, so that a person can read what is left.
 *
 * @module
 */
import { type Graph, type GraphOutput, type Node, type NodeId, printGraph } from "../../compiler/mod.ts";

/** Calls of the predicate after which the search settles for what it has. */
const MOST_TRIALS = 1000;

/**
 * A smaller graph that still fails: with fewer outputs, outputs taken from earlier nodes, nodes replaced by one of their
 * inputs, or float nodes replaced by fresh inputs. Unused nodes and inputs go as well.
 *
 * @param fails Whether a graph shows the failure; has to make up values for whatever inputs the graph has.
 */
export async function shrink(
  graph: Graph,
  fails: (candidate: Graph) => boolean | Promise<boolean>,
): Promise<Graph> {
  let smallest = pruned(graph);
  let trials = 0;
  const worse = async (candidate: Graph) => trials++ < MOST_TRIALS && await fails(candidate);
  if (!await worse(smallest)) return graph;
  for (;;) {
    let next: Graph | undefined;
    for (const candidate of candidates(smallest)) {
      if (trials >= MOST_TRIALS) return smallest;
      if (weight(candidate) < weight(smallest) && await worse(candidate)) {
        next = candidate;
        break;
      }
    }
    if (!next) return smallest;
    smallest = next;
  }
}

/** The message of a failed fuzz test: the seed, what went wrong, and the shrunk graph as text. */
export function failureReport(seed: number, problem: string, graph: Graph): string {
  return `seed ${seed}: ${problem}\nsmallest graph that fails:\n${printGraph(graph, { origins: false })}`;
}

/** What shrinking makes smaller: nodes that compute count more than inputs, and every output counts. */
function weight({ nodes, outputs }: Graph): number {
  return nodes.reduce((sum, node) => sum + (node.op === "input" ? 1 : 3), outputs.length);
}

/** Smaller graphs that might fail, the boldest first. */
function* candidates(graph: Graph): Generator<Graph> {
  const { nodes, outputs } = graph;
  for (const output of outputs) if (outputs.length > 1) yield pruned({ nodes, outputs: [output] });
  for (const output of outputs) {
    if (outputs.length > 1) yield pruned({ nodes, outputs: outputs.filter((other) => other !== output) });
  }
  for (const node of nodes) if (canBecomeInput(node)) yield pruned(withInput(graph, node));
  for (const node of [...nodes].reverse()) {
    for (const input of node.inputs) {
      if (isAlike(nodes[input], node)) yield pruned(redirected(graph, node.id, input));
    }
  }
  for (const [i, { name, node }] of outputs.entries()) {
    for (const input of nodes[node].inputs) {
      const earlier: GraphOutput = { name, node: input };
      yield pruned({ nodes, outputs: outputs.map((output, j) => j === i ? earlier : output) });
    }
  }
}

function isAlike(a: Node, b: Node): boolean {
  return a.dtype === b.dtype && a.shape.join() === b.shape.join();
}

/** Integers stay computed: as indices or offsets, made-up values would break what an op asks of them. */
function canBecomeInput({ op, dtype }: Node): boolean {
  return dtype === "f32" && op !== "input" && op !== "constant";
}

function withInput({ nodes, outputs }: Graph, { id, shape, dtype }: Node): Graph {
  const names = new Set(nodes.map((node) => node.attrs.name));
  let count = 0;
  while (names.has(`cut${count}`)) count++;
  const attrs = { name: `cut${count}`, role: "batch", shape, dtype };
  return {
    nodes: nodes.map((node) => node.id === id ? { ...node, op: "input", inputs: [], attrs } : node),
    outputs,
  };
}

function redirected({ nodes, outputs }: Graph, from: NodeId, to: NodeId): Graph {
  const place = (id: NodeId) => id === from ? to : id;
  return {
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(place) })),
    outputs: outputs.map((output) => ({ ...output, node: place(output.node) })),
  };
}

/** The graph without nodes and inputs that no output needs; a state that is donated is needed. */
function pruned({ nodes, outputs }: Graph): Graph {
  const donated = new Set(outputs.map((output) => output.donates));
  const live = new Set<NodeId>(outputs.map((output) => output.node));
  for (const { id, op, attrs, inputs } of [...nodes].reverse()) {
    if (op === "input" && donated.has(attrs.name as string)) live.add(id);
    if (live.has(id)) { for (const input of inputs) live.add(input); }
  }
  const places = new Map([...live].sort((a, b) => a - b).map((id, position) => [id, position]));
  return {
    nodes: nodes.filter(({ id }) => live.has(id)).map((node) => ({
      ...node,
      id: places.get(node.id)!,
      inputs: node.inputs.map((input) => places.get(input)!),
    })),
    outputs: outputs.map((output) => ({ ...output, node: places.get(output.node)! })),
  };
}
