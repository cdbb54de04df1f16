/**
 * Which values to compute again: choices from "none" to "nearly all", each the best at some price of memory. A value that
 * waits for the backward pass holds its bytes for a part of the program; a choice saves that, and pays for computing
 * again whatever it drops, and with it for keeping or computing again what those are made of. At a given price of a byte
 * the best choice is a closed set of greatest profit (`closure.ts`), so a smaller memory never keeps what a larger one
 * dropped. Cheap chains go first; then whole segments of a layer, between residual streams that stay
 * (Chen et al. 2016, arXiv:1604.06174); early layers before late ones, since theirs wait longest.
 *
 * @module
 */
import { bestClosure } from "./closure.ts";
import type { NodeId } from "./graph.ts";
import type { ForwardValue, ForwardValues } from "./kept.ts";
import { rootBytes } from "./storage.ts";

/** Values to compute again, and what that is expected to do. */
export interface Choice {
  /** The values. */
  readonly again: ReadonlySet<NodeId>;
  /** Price of computing them, in multiply-adds. */
  readonly price: number;
  /** An estimate of the most intermediate bytes alive at once, from the positions of the plan without recomputation. */
  readonly peakBytes: number;
}

/** Choices between two that differ by less than this share of the peak are not looked for. */
const RESOLUTION = 1 / 64;

/** How far above the most expensive value prices of memory are tried. */
const MARGIN = 16;

/** Prices of memory closer than this are not told apart. */
const SAME_RATE = 1.01;

/** Choices by rising price; each is expected to need less memory than the one before. The first one is "none". */
export function choicesOf(forward: ForwardValues): Choice[] {
  const rates = [...forward.values.values()].flatMap(({ price, ...value }) => {
    const saved = byteTime(value, forward.works);
    return saved > 0 ? [price / saved] : [];
  });
  const none = choiceOf(forward, new Set());
  if (rates.length === 0) return [none];
  const lowest = rates.reduce((least, rate) => Math.min(least, rate), Infinity);
  const highest = rates.reduce((most, rate) => Math.max(most, rate), 0);
  const all: Choice[] = [none];
  /** Adds the choices at prices between `low` and `high`, whose own are known, and that at `high`. */
  const between = (low: number, lower: Choice, high: number, higher: Choice) => {
    if (lower.again.size === higher.again.size) return;
    const step = Math.abs(lower.peakBytes - higher.peakBytes);
    if (high / low > SAME_RATE && (step > RESOLUTION * none.peakBytes || high / low > 2)) {
      const rate = Math.sqrt(low * high);
      const choice = choiceOf(forward, bestAt(forward, rate));
      between(low, lower, rate, choice);
      between(rate, choice, high, higher);
    } else all.push(higher);
  };
  // A price at which even the most expensive value pays, with whatever it is made of.
  const end = MARGIN * highest;
  between(lowest / 2, none, end, choiceOf(forward, bestAt(forward, end)));
  return all.filter(({ peakBytes }, index) =>
    all.slice(0, index).every((cheaper) => cheaper.peakBytes > peakBytes)
  );
}

/** Bytes that a value holds between forward and backward pass, times the share of the program that it does. */
function byteTime(
  { bytes, isHeld, firstBackward, lastForward }: Pick<
    ForwardValue,
    "bytes" | "isHeld" | "firstBackward" | "lastForward"
  >,
  works: number,
): number {
  return isHeld ? 0 : bytes * Math.max(0, firstBackward - lastForward - 1) / works;
}

/** The best values to compute again when byte times cost `rate` multiply-adds each. */
function bestAt({ values, works }: ForwardValues, rate: number): Set<NodeId> {
  const profits: number[] = [];
  const needs: [number, number][] = [];
  const item = (profit: number) => profits.push(profit) - 1;
  const needed = new Map<NodeId, number>();
  for (const value of values.values()) {
    if (!value.isRead) needed.set(value.id, item(-rate * byteTime(value, works)));
  }
  const again = new Map<number, NodeId>();
  for (const value of values.values()) {
    const saved = byteTime(value, works);
    if (saved === 0) continue;
    const index = item(rate * saved - value.price);
    again.set(index, value.id);
    for (const id of [value.id, ...value.operands]) {
      const need = needed.get(id);
      if (need !== undefined) needs.push([index, need]);
    }
  }
  const chosen = bestClosure({ profits, needs });
  return new Set([...again].flatMap(([index, id]) => chosen[index] ? [id] : []));
}

function choiceOf(forward: ForwardValues, again: ReadonlySet<NodeId>): Choice {
  let price = 0;
  for (const id of again) price += forward.values.get(id)!.price;
  return { again, price, peakBytes: expectedPeak(forward, again) };
}

/** The most bytes alive at a position of the plan, once the lifetimes of what is dropped or kept longer are changed. */
function expectedPeak({ plan, values, works }: ForwardValues, again: ReadonlySet<NodeId>): number {
  const change = new Array<number>(works + 1).fill(0);
  const hold = (from: number, to: number, bytes: number) => {
    if (from >= to) return;
    change[from] += bytes;
    change[to] -= bytes;
  };
  for (const [root, [first, last]] of plan.placement.lifetimes) {
    hold(first, last + 1, rootBytes(plan.storage.roots[root]));
  }
  // Position at which each value is wanted by what is computed again.
  const earliest = new Map<NodeId, number>();
  const latest = new Map<NodeId, number>();
  for (const value of [...values.values()].reverse()) {
    const { id, bytes } = value;
    const first = Math.min(value.isRead ? value.firstBackward : Infinity, earliest.get(id) ?? Infinity);
    const isAgain = again.has(id);
    if (isAgain) {
      for (const operand of value.operands) {
        earliest.set(operand, Math.min(earliest.get(operand) ?? Infinity, first));
        latest.set(operand, Math.max(latest.get(operand) ?? -1, first));
      }
    }
    if (value.isHeld || first === Infinity) continue;
    const lastUse = latest.get(id) ?? -1;
    if (isAgain && value.isStored) {
      hold(value.lastForward + 1, first, -bytes);
      hold(value.lastUse + 1, lastUse + 1, bytes);
    } else if (isAgain) hold(first, lastUse + 1, bytes);
    else if (value.isStored) hold(value.lastUse + 1, lastUse + 1, bytes);
    else hold(value.made, lastUse + 1, bytes);
  }
  let alive = 0;
  let most = 0;
  for (const delta of change) most = Math.max(most, alive += delta);
  return most;
}
