/**
 * Recompute or keep: fits a program into a budget of memory. `recompute_choice.ts` proposes what the backward pass could
 * compute again, cheapest first; here each proposal is written into the graph and planned for real, and the cheapest one
 * whose planned peak keeps the budget wins. Without a budget everything is kept, apart from what the fuser recomputes
 * because that is faster than to store and load it.
 *
 * @module
 */
import { arithmeticOf, bytesOf, recomputePrice } from "./cost.ts";
import { MemoryBudgetError } from "./errors.ts";
import type { Graph, Node, NodeId } from "./graph.ts";
import { ForwardValues, type PlannedGraph } from "./kept.ts";
import { OPS } from "./ops/mod.ts";
import type { OrderAim } from "./order.ts";
import type { KeptValue, Recomputation } from "./program.ts";
import { type Choice, choicesOf } from "./recompute_choice.ts";
import { recomputeInGraph } from "./recompute_graph.ts";

/** Choices whose expected peak is this close to the least one are tried before a budget is refused. */
const NEARLY_LEAST = 1.03;

/** A plan that keeps its budget, and what it took. */
export interface FittedPlan<Plan extends PlannedGraph> {
  /** The plan. */
  readonly plan: Plan;
  /** What it computes again. */
  readonly recomputation: Recomputation;
}

/**
 * Plans a graph within `budgetBytes`.
 *
 * @param unlimited The plan in which everything is kept.
 * @param plan Plans a graph: fusion, storage, order and memory.
 * @param name The program in messages.
 * @throws {MemoryBudgetError} when no choice fits, with the least that one needs.
 */
export function fitMemory<Plan extends PlannedGraph>(
  unlimited: Plan,
  budgetBytes: number,
  plan: (graph: Graph, aim?: OrderAim) => Plan,
  name: string,
): FittedPlan<Plan> {
  if (unlimited.placement.memory.peakBytes <= budgetBytes) {
    return { plan: unlimited, recomputation: describe(unlimited, unlimited, budgetBytes) };
  }
  // What waits for what shows in an order in which nothing waits without need.
  const late = plan(unlimited.fusion.graph, "late");
  const forward = new ForwardValues(late);
  const choices = choicesOf(forward);
  const others = late.placement.memory.peakBytes - choices[0].peakBytes;
  const tried = new Map<number, Plan>([[0, unlimited]]);
  const peakOf = (index: number): number => {
    let result = tried.get(index);
    if (!result) tried.set(index, result = plan(recomputeInGraph(forward, choices[index].again)));
    return result.placement.memory.peakBytes;
  };
  const index = cheapestThatFits(choices, peakOf, budgetBytes, others);
  if (index === undefined) {
    const peaks = [...tried.values()].map((result) => result.placement.memory.peakBytes);
    throw new MemoryBudgetError(name, Math.min(...peaks), budgetBytes);
  }
  const fitted = tried.get(index)!;
  return { plan: fitted, recomputation: describe(unlimited, fitted, budgetBytes) };
}

/**
 * Index of the first choice after "none" that fits, by bisection that begins where the estimate says; peaks that do not
 * fall from choice to choice may hide an earlier one.
 *
 * @param others Bytes that are planned beside those of the estimates: inputs, outputs, gaps.
 */
function cheapestThatFits(
  choices: readonly Choice[],
  peakOf: (index: number) => number,
  budgetBytes: number,
  others: number,
): number | undefined {
  const fits = (index: number) => peakOf(index) <= budgetBytes;
  let low = 0;
  let high = choices.length;
  let guess = choices.findIndex(({ peakBytes }) => peakBytes + others <= budgetBytes);
  if (guess < 0) guess = high - 1;
  let step = 1;
  while (high - low > 1) {
    const index = Math.min(high - 1, Math.max(low + 1, guess));
    if (fits(index)) [high, guess] = [index, index - step];
    else [low, guess] = [index, index + step];
    step *= 2;
  }
  if (high < choices.length) return high;
  const least = choices.reduce((bytes, choice) => Math.min(bytes, choice.peakBytes), Infinity);
  const near = choices.flatMap(({ peakBytes }, index) => peakBytes <= least * NEARLY_LEAST ? [index] : []);
  return near.find(fits);
}

/** What a plan computes again and what it keeps. */
function describe(unlimited: PlannedGraph, fitted: PlannedGraph, budgetBytes: number): Recomputation {
  const { graph } = fitted.fusion;
  const again = graph.nodes.filter(({ id, origin }) =>
    origin.recomputes !== undefined && origin.recomputes !== id
  );
  const stored = again.filter(({ id }) => fitted.storage.homes.has(id));
  const total = (nodes: readonly Node[]) => nodes.reduce((sum, node) => sum + arithmeticOf(graph, node), 0);
  return {
    budgetBytes,
    unlimitedPeakBytes: unlimited.placement.memory.peakBytes,
    recomputed: stored.map((node) => describeValue(fitted, node)),
    kept: keptValues(fitted),
    multiplyAdds: total(again),
    share: total(again) / Math.max(1, total(graph.nodes) - total(again)),
  };
}

/** Values of the forward pass that a plan keeps in intermediate memory for the backward pass, in graph order. */
export function keptValues(plan: PlannedGraph): KeptValue[] {
  const { graph } = plan.fusion;
  return [...new ForwardValues(plan).values.values()]
    .filter(({ isStored, lastForward, lastUse }) => isStored && lastUse > lastForward)
    .map(({ id }) => describeValue(plan, graph.nodes[id]));
}

function describeValue(plan: PlannedGraph, node: Node): KeptValue {
  const { id, op, shape, dtype, origin: { scope, recomputes = id } } = node;
  return {
    node: recomputes,
    op,
    scope,
    shape,
    dtype,
    bytes: bytesOf(node),
    multiplyAdds: priceOf(plan, node),
  };
}

/** The price of a value from those that have memory of their own. */
function priceOf({ fusion: { graph }, storage }: PlannedGraph, value: Node): number {
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): number => {
    const node = graph.nodes[id];
    const isThere = id !== value.id && storage.homes.has(id);
    if (seen.has(id) || isThere || OPS[node.op].class === "leaf") return 0;
    seen.add(id);
    const own = OPS[node.op].class === "movement" ? 0 : recomputePrice(graph, node);
    return node.inputs.reduce((sum, input) => sum + visit(input), own);
  };
  return visit(value.id);
}
