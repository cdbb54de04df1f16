/**
 * Orders the works of a program: a list schedule that, among the works whose needs are met, takes the one that leaves the
 * least memory in use, and the earliest node among equals. A chunk of the loss is thus finished before the next begins.
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

/**
 * An execution order, as work ids.
 *
 * @throws {OrderCycle} when works wait for each other.
 */
export function orderWorks(storage: Storage, traffic: readonly Traffic[]): number[] {
  const { works, roots } = storage;
  const isArena = (root: number) => roots[root].kind === "arena";
  const waiting = works.map((work) => work.after.size);
  const followers = works.map((): number[] => []);
  for (const work of works) for (const before of work.after) followers[before].push(work.id);
  const readersLeft = new Map<number, number>();
  for (const { reads } of traffic) {
    for (const root of reads) readersLeft.set(root, (readersLeft.get(root) ?? 0) + 1);
  }
  const allocated = new Set<number>();
  const growth = (id: number): number => {
    let bytes = 0;
    for (const root of traffic[id].writes) {
      if (isArena(root) && !allocated.has(root)) bytes += rootBytes(roots[root]);
    }
    for (const root of traffic[id].reads) {
      if (isArena(root) && readersLeft.get(root) === 1) bytes -= rootBytes(roots[root]);
    }
    return bytes;
  };
  const rank = works.map((work) => firstNode(work));
  const ready = new Set(works.filter((work) => waiting[work.id] === 0).map((work) => work.id));
  const order: number[] = [];
  while (ready.size > 0) {
    let best = -1;
    let bestGrowth = Infinity;
    for (const id of ready) {
      const bytes = growth(id);
      if (bytes < bestGrowth || (bytes === bestGrowth && rank[id] < rank[best])) {
        [best, bestGrowth] = [id, bytes];
      }
    }
    ready.delete(best);
    order.push(best);
    for (const root of traffic[best].writes) allocated.add(root);
    for (const root of traffic[best].reads) readersLeft.set(root, readersLeft.get(root)! - 1);
    for (const next of followers[best]) if (--waiting[next] === 0) ready.add(next);
  }
  if (order.length < works.length) {
    const done = new Set(order);
    throw new OrderCycle(works.filter((work) => !done.has(work.id)).map((work) => work.id));
  }
  return order;
}

function firstNode(work: Work): number {
  const [store] = work.stores;
  if (!store) throw new InternalError(`work ${work.id} stores nothing`);
  return store.node;
}
