/**
 * Every rewrite that simplification did to a graph, in order: which rule, at which node, and what stands there now. Nothing is recorded
 * unless it is asked for.
 *
 * @module
 */
import { type Graph, type Node, type NodeId, printNode, simplify } from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";

/** One rewrite. */
export interface Rewrite {
  /** Counted from 1. */
  readonly step: number;
  readonly rule: string;
  /** The node that the rule was offered, in the graph before. */
  readonly before: string;
  /** What that node reads, likewise. */
  readonly reads: readonly string[];
  /** What it became in the simplified graph; absent when it was simplified away in turn. */
  readonly after?: string;
  readonly scope: string;
  readonly site?: string;
}

/** All rewrites of a graph. */
export interface Rewrites {
  /** Nodes of the graph before and after. */
  readonly nodes: readonly [before: number, after: number];
  /** How often each rule was applied, most often first. */
  readonly counts: readonly (readonly [rule: string, count: number])[];
  readonly rewrites: readonly Rewrite[];
}

/** Simplifies a graph without composites once more, and writes down how. */
export function recordRewrites(graph: Graph): Rewrites {
  const applied: { rule: string; node: NodeId; replacement?: NodeId }[] = [];
  const simplified = simplify(graph, { record: (each) => applied.push(each) });
  const counts = new Map<string, number>();
  for (const { rule } of applied) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  const text = (node: Node | undefined) => node && printNode(node);
  return {
    nodes: [graph.nodes.length, simplified.nodes.length],
    counts: [...counts].sort(([, a], [, b]) => b - a),
    rewrites: applied.map(({ rule, node: id, replacement }, i) => {
      const node = graph.nodes[id];
      const after = replacement === undefined ? undefined : text(simplified.nodes[replacement]);
      const { scope, site } = node.origin;
      return {
        step: i + 1,
        rule,
        before: printNode(node),
        reads: node.inputs.map((input) => printNode(graph.nodes[input])),
        ...after !== undefined && { after },
        scope,
        ...site !== undefined && { site },
      };
    }),
  };
}

/** Rewrites of a list that are shown. */
const MOST = 100;

/**
 * The rewrites for people: counts first, then those of a rule, or one alone.
 *
 * @throws {InputError} when there is no such rule or step.
 */
export function rewritesText(
  { nodes: [before, after], counts, rewrites }: Rewrites,
  { rule, step }: { readonly rule?: string; readonly step?: number } = {},
): string {
  if (step !== undefined) {
    const found = rewrites[step - 1];
    if (!found) {
      throw new InputError(
        `--step ${step}`,
        "there is no such rewrite",
        `give a number from 1 to ${rewrites.length}`,
      );
    }
    return oneText(found, rewrites.length);
  }
  if (rule !== undefined && !counts.some(([name]) => name === rule)) {
    throw new InputError(
      `--rule ${rule}`,
      "it was not applied",
      `applied were ${counts.map(([name]) => name).join(", ")}`,
    );
  }
  const chosen = rule === undefined ? rewrites : rewrites.filter((each) => each.rule === rule);
  const rest = chosen.length - MOST;
  return [
    `${before} nodes became ${after} by ${rewrites.length} rewrites`,
    ...counts.map(([name, count]) => `  ${`${count}`.padStart(6)}  ${name}`),
    "",
    ...chosen.slice(0, MOST).map(({ step, rule, before, after }) =>
      `${`${step}`.padStart(5)}  ${rule}: ${before}  =>  ${after ?? "simplified away in turn"}`
    ),
    ...rest > 0 ? [`… and ${rest} more; --rule NAME shows those of one rule, --step N one of them`] : [],
    "",
  ].join("\n");
}

function oneText({ step, rule, before, reads, after, scope, site }: Rewrite, count: number): string {
  const where = [scope, site].filter((part) => part).join("  ");
  return [
    `rewrite ${step} of ${count}: ${rule}${where ? `   # ${where}` : ""}`,
    "before",
    ...reads.map((line) => `    ${line}`),
    `  - ${before}`,
    "after",
    `  + ${after ?? "nothing: it was simplified away in turn"}`,
    "",
  ].join("\n");
}
