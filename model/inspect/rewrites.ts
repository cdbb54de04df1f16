/**
 * Every rewrite that simplification did to a graph, in order: which rule, at which node, and what stands there now. Nothing is recorded
 * unless it is asked for.
 *
 * @module
 */
import {
  type Capabilities,
  type CompileOptions,
  compileStages,
  type Graph,
  printNode,
  type SimplifyPass,
} from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";

/** One rewrite. */
export interface Rewrite {
  /** Counted from 1. */
  readonly step: number;
  /** Pass of the simplification, counted from 1: nodes are numbered anew in each. */
  readonly pass: number;
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

/** Compiles a graph once more and writes down what simplification does: in both of its passes, before and after large tensors are cut. */
export function recordRewrites(graph: Graph, target: Capabilities, options: CompileOptions = {}): Rewrites {
  const passes: SimplifyPass[] = [];
  compileStages(graph, target, { ...options, onSimplified: (pass) => passes.push(pass) });
  const counts = new Map<string, number>();
  const rewrites = passes.flatMap(({ before, after, applied }, pass) =>
    applied.map(({ rule, node: id, replacement }) => {
      counts.set(rule, (counts.get(rule) ?? 0) + 1);
      const node = before.nodes[id];
      const { scope, site } = node.origin;
      return {
        pass: pass + 1,
        rule,
        before: printNode(node),
        reads: node.inputs.map((input) => printNode(before.nodes[input])),
        ...replacement !== undefined && { after: printNode(after.nodes[replacement]) },
        scope,
        ...site !== undefined && { site },
      };
    })
  );
  return {
    nodes: [passes[0].before.nodes.length, passes[passes.length - 1].after.nodes.length],
    counts: [...counts].sort(([, a], [, b]) => b - a),
    rewrites: rewrites.map((rewrite, i) => ({ step: i + 1, ...rewrite })),
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

function oneText({ step, pass, rule, before, reads, after, scope, site }: Rewrite, count: number): string {
  const where = [scope, site].filter((part) => part).join("  ");
  return [
    `rewrite ${step} of ${count}, in pass ${pass}: ${rule}${where ? `   # ${where}` : ""}`,
    "before",
    ...reads.map((line) => `    ${line}`),
    `  - ${before}`,
    "after",
    `  + ${after ?? "nothing: it was simplified away in turn"}`,
    "",
  ].join("\n");
}
