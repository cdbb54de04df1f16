/**
 * Orders the works of a program: list schedules from both ends that, among the works whose needs are met, prefer those
 * that leave the least memory in use. The one whose peak is lowest wins. A chunk of the loss is thus finished before the
 * next begins, and what the backward pass recomputes is computed just before it is read.
 *
 * @module
 */
import { InternalError } from "./errors.ts";
import type { KernelIR } from "./lower_work.ts";
import { rootBytes, type Storage, type Work } from "./storage.ts";

/** A work that cannot be ordered: the works of a cycle, by id. */
export class OrderCycle extends Error {
  override readonly name = "OrderCycle";
  constructor(readonly works: readonly number[]) {
    super(`works ${works.join(", ")} wait for each other`);
  }
}

/** Roots that a kernel reads and writes. */
export interface Traffic {
  readonly reads: ReadonlySet<number>;
  readonly writes: ReadonlySet<number>;
}

/** Which roots a kernel touches. */
export function trafficOf(kernel: KernelIR): Traffic {
  const reads = new Set<number>();
  const bodies = [kernel.body, ...Object.values(kernel.operands).map((operand) => operand.body)];
  for (const body of bodies) {
    for (const instruction of body.instructions) {
      if (instruction.kind === "load") reads.add(instruction.tensor);
    }
  }
  return { reads, writes: new Set(kernel.body.stores.map((store) => store.tensor)) };
}

/** From which end a schedule is built, and what it takes among the works that it may take. */
interface Strategy {
  /** From the first work to the last, or from the last to the first. */
  readonly direction: "forward" | "reverse";
  /**
   * A work that adds at most this share of the largest root to the memory in use is taken at once, those that add least
   * first; if there is none, the next in the graph's own order. With `Infinity` always the one that adds least.
   */
  readonly release: number;
  /** So is a work that adds at most this share of what it reads and is in use already: it helps to be rid of that. */
  readonly follow: number;
}

/**
 * No one of them is best: backwards, values are computed as late as can be, just before their readers, and gradients of
 * parameters beside those of the activations; forwards, what is small at the end does not decide about the rest.
 */
const STRATEGIES: readonly Strategy[] = [
  { direction: "reverse", release: 1 / 1024, follow: 1 / 16 },
  { direction: "reverse", release: 1 / 32, follow: 0 },
  { direction: "forward", release: 1 / 1024, follow: 0 },
  { direction: "forward", release: Infinity, follow: 0 },
];

/** An earlier strategy is taken though it needs this much more: it leaves fewer values waiting for each other. */
const NEARLY_LEAST = 1.05;

/**
 * `least`: of several schedules one that needs hardly more memory than any other. `late`: what the backward pass reads is
 * used up as soon as it can be, and everything is computed as late as it can be, whatever that needs.
 */
export type OrderAim = "least" | "late";

/**
 * An execution order, as work ids.
 *
 * @throws {OrderCycle} when works wait for each other.
 */
export function orderWorks(
  storage: Storage,
  traffic: readonly Traffic[],
  aim: OrderAim = "least",
): number[] {
  const problem = new Problem(storage, traffic);
  const strategies = aim === "late" ? STRATEGIES.slice(0, 1) : STRATEGIES;
  const orders = strategies.map((strategy) => problem.schedule(strategy));
  const peaks = orders.map((order) => problem.peakOf(order));
  const most = NEARLY_LEAST * Math.min(...peaks);
  return orders[peaks.findIndex((peak) => peak <= most)];
}

/** Works to order, and what they hold. */
class Problem {
  readonly #before: readonly (readonly number[])[];
  readonly #after: readonly number[][];
  /** Intermediate values that a work reads or writes, as roots. */
  readonly #touches: readonly (readonly number[])[];
  readonly #reads: readonly (readonly number[])[];
  readonly #bytes: readonly number[];
  readonly #rank: readonly number[];

  constructor({ works, roots }: Storage, private readonly traffic: readonly Traffic[]) {
    this.#before = works.map((work) => [...work.after]);
    this.#after = works.map(() => []);
    for (const work of works) for (const id of work.after) this.#after[id].push(work.id);
    this.#touches = traffic.map(({ reads, writes }) =>
      [...new Set([...reads, ...writes])].filter((root) => roots[root].kind === "arena")
    );
    this.#reads = traffic.map(({ reads }) => [...reads].filter((root) => roots[root].kind === "arena"));
    this.#bytes = roots.map(rootBytes);
    this.#rank = works.map(firstNode);
  }

  /** A list schedule. */
  schedule({ direction, release, follow }: Strategy): number[] {
    const isForward = direction === "forward";
    const [waitsFor, followers] = isForward ? [this.#before, this.#after] : [this.#after, this.#before];
    const waiting = waitsFor.map((others) => others.length);
    const left = this.#users();
    const alive = new Set<number>();
    const growth = (id: number): number => {
      let bytes = 0;
      for (const root of this.#touches[id]) {
        if (!alive.has(root)) bytes += this.#bytes[root];
        if (left[root] === 1) bytes -= this.#bytes[root];
      }
      return bytes;
    };
    const inUse = (id: number): number => {
      let bytes = 0;
      for (const root of this.#reads[id]) if (alive.has(root)) bytes += this.#bytes[root];
      return bytes;
    };
    const most = release * this.#bytes.reduce((largest, bytes) => Math.max(largest, bytes), 1);
    const ready = new Set(waiting.flatMap((count, id) => count === 0 ? [id] : []));
    const order: number[] = [];
    while (ready.size > 0) {
      let best = -1;
      let bestCost = Infinity;
      for (const id of ready) {
        const grown = growth(id);
        const isTaken = grown <= most || (follow > 0 && grown <= follow * inUse(id));
        const cost = isTaken ? grown : Infinity;
        const isNext = isForward ? this.#rank[id] < this.#rank[best] : this.#rank[id] > this.#rank[best];
        if (best < 0 || cost < bestCost || (cost === bestCost && isNext)) [best, bestCost] = [id, cost];
      }
      ready.delete(best);
      order.push(best);
      for (const root of this.#touches[best]) {
        alive.add(root);
        left[root]--;
      }
      for (const next of followers[best]) if (--waiting[next] === 0) ready.add(next);
    }
    if (order.length < waiting.length) {
      const done = new Set(order);
      throw new OrderCycle([...waiting.keys()].filter((id) => !done.has(id)));
    }
    return isForward ? order : order.reverse();
  }

  /** The most bytes of intermediate values at one work; a result takes the place of an equal operand that dies there. */
  peakOf(order: readonly number[]): number {
    const left = this.#users();
    const seen = new Set<number>();
    let alive = 0;
    let peak = 0;
    for (const id of order) {
      const dying = this.#touches[id].filter((root) => left[root] === 1 && seen.has(root));
      const freed = dying.map((root) => this.#bytes[root]);
      let inPlace = 0;
      for (const root of this.traffic[id].writes) {
        if (seen.has(root) || !this.#touches[id].includes(root)) continue;
        alive += this.#bytes[root];
        const match = freed.indexOf(this.#bytes[root]);
        if (match >= 0) inPlace += freed.splice(match, 1)[0];
      }
      peak = Math.max(peak, alive - inPlace);
      for (const root of this.#touches[id]) {
        seen.add(root);
        if (--left[root] === 0) alive -= this.#bytes[root];
      }
    }
    return peak;
  }

  /** How many works touch each root. */
  #users(): number[] {
    const users = this.#bytes.map(() => 0);
    for (const roots of this.#touches) for (const root of roots) users[root]++;
    return users;
  }
}

/** Where a work stands in the graph: results may be cast or assembled much later than they are computed. */
function firstNode({ id, group, stores: [store] }: Work): number {
  if (!store) throw new InternalError(`work ${id} stores nothing`);
  return group?.nodes[0] ?? store.node;
}
