/**
 * The most profitable closed set: items have profits (negative ones are prices), some need others, and a set must hold
 * whatever its items need. The complement of a minimum cut is such a set (Picard 1976, "Maximal closure of a graph");
 * the cut is found by Dinic's algorithm. What to recompute is chosen with it.
 *
 * @module
 */

/** Needs and profits; items are numbered from 0. */
export interface ClosureProblem {
  /** Profit of each item; below 0 for what is only taken because others need it. */
  readonly profits: readonly number[];
  /** Pairs of an item and one that it needs. */
  readonly needs: readonly (readonly [number, number])[];
}

/** Flow below this is rounding. */
const EPSILON = 1e-9;

/** Whether each item belongs to the smallest of the closed sets with the greatest profit. */
export function bestClosure({ profits, needs }: ClosureProblem): boolean[] {
  const source = profits.length;
  const sink = source + 1;
  const scale = profits.reduce((most, profit) => Math.max(most, Math.abs(profit)), 0) || 1;
  const flow = new FlowNetwork(profits.length + 2);
  profits.forEach((profit, item) => {
    if (profit > 0) flow.edge(source, item, profit / scale);
    else if (profit < 0) flow.edge(item, sink, -profit / scale);
  });
  for (const [item, other] of needs) flow.edge(item, other, Infinity);
  flow.saturate(source, sink);
  const reached = flow.levels(source);
  return profits.map((_, item) => reached[item] >= 0);
}

/** Residual capacities; edge `i` and its reverse `i ^ 1` lie side by side. */
class FlowNetwork {
  readonly #to: number[] = [];
  readonly #capacity: number[] = [];
  readonly #edges: number[][];

  constructor(size: number) {
    this.#edges = Array.from({ length: size }, () => []);
  }

  edge(from: number, to: number, capacity: number): void {
    this.#edges[from].push(this.#to.length);
    this.#to.push(to);
    this.#capacity.push(capacity);
    this.#edges[to].push(this.#to.length);
    this.#to.push(from);
    this.#capacity.push(0);
  }

  /** Distance from `source` over edges that have capacity left; -1 where there is no way. */
  levels(source: number): number[] {
    const levels = this.#edges.map(() => -1);
    levels[source] = 0;
    const queue = [source];
    for (const node of queue) {
      for (const edge of this.#edges[node]) {
        const next = this.#to[edge];
        if (levels[next] >= 0 || this.#capacity[edge] <= EPSILON) continue;
        levels[next] = levels[node] + 1;
        queue.push(next);
      }
    }
    return levels;
  }

  /** Sends as much as possible. */
  saturate(source: number, sink: number): void {
    for (;;) {
      const levels = this.levels(source);
      if (levels[sink] < 0) return;
      const next = this.#edges.map(() => 0);
      while (this.#push(source, sink, Infinity, levels, next) > EPSILON);
    }
  }

  #push(node: number, sink: number, most: number, levels: readonly number[], next: number[]): number {
    if (node === sink) return most;
    for (; next[node] < this.#edges[node].length; next[node]++) {
      const edge = this.#edges[node][next[node]];
      const to = this.#to[edge];
      if (levels[to] !== levels[node] + 1 || this.#capacity[edge] <= EPSILON) continue;
      const sent = this.#push(to, sink, Math.min(most, this.#capacity[edge]), levels, next);
      if (sent <= EPSILON) continue;
      this.#capacity[edge] -= sent;
      this.#capacity[edge ^ 1] += sent;
      return sent;
    }
    return 0;
  }
}
