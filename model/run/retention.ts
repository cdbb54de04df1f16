/**
 * Which checkpoints of a run stay: all, or the newest few and those of every so many steps.
 *
 * @module
 */

/** What a user asks for; with neither, all stay. */
export interface Retention {
  /** The newest that stay. */
  readonly keepLast?: number;
  /** Steps of which a multiple stays for good; 0: of none. */
  readonly keepEvery?: number;
}

/** Whether anything is ever removed. */
export function isThinning({ keepLast, keepEvery }: Retention): boolean {
  return keepLast !== undefined || keepEvery !== undefined;
}

/**
 * The steps whose checkpoints may go once the newest is safe. The newest always stays.
 *
 * @param steps Those that are there, in any order.
 */
export function expendable(steps: readonly number[], retention: Retention): number[] {
  if (!isThinning(retention)) return [];
  const { keepLast = 1, keepEvery = 0 } = retention;
  const oldestFirst = [...steps].sort((a, b) => a - b);
  const candidates = oldestFirst.slice(0, Math.max(0, oldestFirst.length - Math.max(1, keepLast)));
  return candidates.filter((step) => keepEvery === 0 || step % keepEvery !== 0);
}

/**
 * The most checkpoints that lie on the disk at once while a run goes from one step to another. The one that is being written comes
 * on top.
 */
export function mostKept(
  from: number,
  to: number,
  saveEvery: number,
  retention: Retention,
): number {
  const saved = new Set<number>([to]);
  if (saveEvery > 0) {
    for (let step = (Math.floor(from / saveEvery) + 1) * saveEvery; step < to; step += saveEvery) {
      saved.add(step);
    }
  }
  if (!isThinning(retention)) return saved.size;
  const { keepLast = 1, keepEvery = 0 } = retention;
  const forGood = keepEvery === 0 ? 0 : [...saved].filter((step) => step % keepEvery === 0).length;
  return Math.min(saved.size, forGood + Math.max(1, keepLast));
}
