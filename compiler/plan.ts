/**
 * Memory plan: which allocations share bytes. A result that is computed element by element from a tensor that dies there
 * takes over its place; the rest is packed by lifetime, largest first, into as few large arena buffers as the device's
 * limit allows.
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { LimitError } from "./errors.ts";
import { variablesOf } from "./index_expr.ts";
import type { Body } from "./kernel.ts";
import type { KernelIR } from "./lower_work.ts";
import { type Traffic, trafficOf } from "./order.ts";
import type { BufferPlan, MemoryPlan } from "./program.ts";
import { type Root, rootBytes, type Storage } from "./storage.ts";

/** Where each root lies. */
export interface Placement {
  /** Buffers of the program, scalars apart. */
  readonly buffers: readonly BufferPlan[];
  /** Buffer and byte offset of each root. */
  readonly at: readonly { readonly buffer: number; readonly offset: number }[];
  /** Elements of each root. */
  readonly elements: readonly number[];
  /** The root whose memory a root uses: itself, unless it took over another's place. */
  readonly owner: readonly number[];
  /** First and last position in the order at which each root is alive; arena roots only. */
  readonly lifetimes: ReadonlyMap<number, readonly [number, number]>;
  /** What it adds up to. */
  readonly memory: MemoryPlan;
}

/** Arena ranges start at multiples of this: the largest binding alignment that WebGPU allows an adapter to ask for. */
const ARENA_ALIGNMENT = 256;

/**
 * Plans the memory of ordered kernels.
 *
 * @param kernels Kernel IR in execution order.
 * @throws {LimitError} when a tensor is larger than the largest buffer.
 */
export function planMemory(storage: Storage, kernels: readonly KernelIR[], target: Capabilities): Placement {
  const { roots } = storage;
  const traffic = kernels.map(trafficOf);
  const own = lifetimesOf(roots, traffic);
  const owner = takeOver(storage, kernels, traffic, own);
  const lifetimes = merge(own, owner);

  const buffers: BufferPlan[] = [];
  const at: { buffer: number; offset: number }[] = new Array(roots.length);
  for (const root of roots) {
    if (root.kind === "arena") continue;
    const bytes = roundUp(rootBytes(root), 16);
    check(root, bytes, target);
    at[root.id] = { buffer: buffers.length, offset: 0 };
    buffers.push({ kind: root.kind, name: root.name, bytes });
  }
  const fixedBytes = buffers.reduce((sum, buffer) => sum + buffer.bytes, 0);
  const arenas = pack(roots, lifetimes, target);
  arenas.sizes.forEach((bytes, i) => buffers.push({ kind: "arena", name: `arena${i}`, bytes }));
  const firstArena = buffers.length - arenas.sizes.length;
  for (const [id, { arena, offset }] of arenas.at) at[id] = { buffer: firstArena + arena, offset };
  roots.forEach((root) => at[root.id] ??= at[owner[root.id]] ?? { buffer: firstArena, offset: 0 });

  const naive = [...own.keys()].reduce((sum, id) => sum + rootBytes(roots[id]), 0);
  return {
    buffers,
    at,
    elements: roots.map((root) => root.elements),
    owner,
    lifetimes,
    memory: {
      peakBytes: fixedBytes + arenas.sizes.reduce((sum, bytes) => sum + bytes, 0),
      lowerBoundBytes: fixedBytes + mostAlive(roots, lifetimes, kernels.length),
      naiveBytes: fixedBytes + naive,
    },
  };
}

type Lifetimes = Map<number, readonly [number, number]>;

function lifetimesOf(roots: readonly Root[], traffic: readonly Traffic[]): Lifetimes {
  const lifetimes: Lifetimes = new Map();
  traffic.forEach(({ reads, writes }, position) => {
    for (const id of [...reads, ...writes]) {
      if (roots[id].kind !== "arena") continue;
      const known = lifetimes.get(id);
      lifetimes.set(id, [known?.[0] ?? position, position]);
    }
  });
  return lifetimes;
}

/** Lets results take over the memory of an operand that dies where they are computed, element by element. */
function takeOver(
  storage: Storage,
  kernels: readonly KernelIR[],
  traffic: readonly Traffic[],
  lifetimes: Lifetimes,
): number[] {
  const { roots } = storage;
  const owner = roots.map((root) => root.id);
  const resolve = (id: number): number => owner[id] === id ? id : resolve(owner[id]);
  const taken = new Set<number>();
  kernels.forEach((kernel, position) => {
    for (const store of kernel.body.stores) {
      const result = roots[store.tensor];
      if (result.kind !== "arena" || owner[result.id] !== result.id) continue;
      if (lifetimes.get(result.id)?.[0] !== position) continue;
      for (const id of traffic[position].reads) {
        const operand = roots[id];
        if (operand.kind !== "arena" || taken.has(id) || operand.id === result.id) continue;
        if (operand.elements !== result.elements || operand.dtype !== result.dtype) continue;
        if (lifetimes.get(id)?.[1] !== position) continue;
        if (!sameElements(kernel, id, store.index.key)) continue;
        owner[result.id] = resolve(id);
        taken.add(id);
        break;
      }
    }
  });
  return roots.map((root) => resolve(root.id));
}

/** True when a kernel reads root `id` only at the element that it then writes, once per element. */
function sameElements(kernel: KernelIR, id: number, key: string): boolean {
  if (kernel.kind === "column" || kernel.kind === "indexed") return false;
  const touches = (body: Body) =>
    body.instructions.filter((instruction) => instruction.kind === "load" && instruction.tensor === id);
  if (Object.values(kernel.operands).some((operand) => touches(operand.body).length > 0)) return false;
  return touches(kernel.body).every((load) => {
    if (load.kind !== "load" || load.index.key !== key) return false;
    return kernel.kind !== "row" || variablesOf(load.index).has("r");
  });
}

function merge(lifetimes: Lifetimes, owner: readonly number[]): Lifetimes {
  const merged: Lifetimes = new Map();
  for (const [id, [first, last]] of lifetimes) {
    const known = merged.get(owner[id]);
    merged.set(owner[id], known ? [Math.min(known[0], first), Math.max(known[1], last)] : [first, last]);
  }
  return merged;
}

function mostAlive(roots: readonly Root[], lifetimes: Lifetimes, positions: number): number {
  const change = new Array<number>(positions + 1).fill(0);
  for (const [id, [first, last]] of lifetimes) {
    change[first] += rootBytes(roots[id]);
    change[last + 1] -= rootBytes(roots[id]);
  }
  let alive = 0;
  let most = 0;
  for (const delta of change) most = Math.max(most, alive += delta);
  return most;
}

/** Offline best fit: largest first, each at the tightest gap among the ranges that are alive with it. */
function pack(roots: readonly Root[], lifetimes: Lifetimes, target: Capabilities) {
  const limit = target.maxBufferBytes;
  const ids = [...lifetimes.keys()].sort((a, b) => rootBytes(roots[b]) - rootBytes(roots[a]) || a - b);
  const placed: { first: number; last: number; arena: number; start: number; end: number }[] = [];
  const sizes: number[] = [];
  const at = new Map<number, { arena: number; offset: number }>();
  for (const id of ids) {
    const bytes = roundUp(rootBytes(roots[id]), ARENA_ALIGNMENT);
    check(roots[id], bytes, target);
    const [first, last] = lifetimes.get(id)!;
    const rivals = placed.filter((other) => other.first <= last && other.last >= first);
    for (let arena = 0;; arena++) {
      const offset = tightestGap(rivals.filter((other) => other.arena === arena), bytes);
      if (offset + bytes > limit && arena < sizes.length) continue;
      const start = arena === sizes.length ? 0 : offset;
      if (arena === sizes.length) sizes.push(0);
      sizes[arena] = Math.max(sizes[arena], start + bytes);
      placed.push({ first, last, arena, start, end: start + bytes });
      at.set(id, { arena, offset: start });
      break;
    }
  }
  return { sizes, at };
}

function tightestGap(rivals: { start: number; end: number }[], bytes: number): number {
  rivals.sort((a, b) => a.start - b.start);
  let best = -1;
  let bestGap = Infinity;
  let end = 0;
  for (const rival of rivals) {
    const gap = rival.start - end;
    if (gap >= bytes && gap < bestGap) [best, bestGap] = [end, gap];
    end = Math.max(end, rival.end);
  }
  return best >= 0 ? best : end;
}

function check(root: Root, bytes: number, target: Capabilities): void {
  if (bytes > target.maxBufferBytes) {
    throw new LimitError(
      `tensor ${root.name} (${root.elements} ${root.dtype})`,
      "maxBufferSize",
      bytes,
      target.maxBufferBytes,
    );
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
