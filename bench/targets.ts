/**
 * The ratios that the project set out to reach on a software adapter, computed within one run.
 *
 * @module
 */
import type { RungResult } from "./ladder.ts";
import type { PeerName } from "./peers/protocol.ts";
import { shorten } from "./text.ts";
import { type Comparison, ratioOf, ratioTo } from "./versus.ts";

/** A ratio of two times of one run. */
export interface Ratio {
  readonly what: string;
  /** How many times faster by medians; undefined where a side has no figure. */
  readonly ratio?: number;
  /** The same by each side's best run: what a machine that is busy with other work distorts less. */
  readonly best?: number;
  /** What it should be at least; without it the ratio stands for itself. */
  readonly target?: number;
  /** Why there is no ratio. */
  readonly note?: string;
}

const AGAINST_PEERS: readonly (readonly [one: string, peer: PeerName, target?: number])[] = [
  ["step-4x128-v256", "jax", 8],
  ["step-6x384-v256", "jax", 8],
  ["step-4x128-v50304", "jax", 5],
  ["step-6x384-v50304", "jax", 5],
  ["step-gpt2", "jax", 5],
  ["step-4x128-v256", "jax-wasm"],
  ["step-6x384-v256", "jax-wasm"],
  ["step-4x128-v50304", "jax-wasm"],
  ["step-6x384-v50304", "jax-wasm"],
  ["matmul-NN-512x768x3072", "tfjs", 8],
  ["matmul-NT-512x3072x768", "tfjs", 8],
  ["matmul-TN-768x512x3072", "tfjs", 8],
];

/** Least factor between the first and the last rung of the middle case. */
const FUSED_TARGET = 5;

/** All ratios that the run's figures allow. `fused`: rungs of the middle case, eager first, the fullest last. */
export function ratiosOf(comparisons: readonly Comparison[], fused: readonly RungResult[] = []): Ratio[] {
  const ratios = AGAINST_PEERS.flatMap(([one, peer, target]): Ratio[] => {
    const comparison = comparisons.find((each) => each.case === one);
    const theirs = comparison?.peers.find((result) => result.peer === peer);
    if (!comparison || !theirs) return [];
    const note = comparison.own.error ?? theirs.error;
    return [{ what: `${one}: sinter over ${peer}`, ...ratioTo(comparison, peer), target, note }];
  });
  const [eager, top] = [fused[0], fused.at(-1)];
  if (!eager || !top || eager === top) return ratios;
  const note = eager.ms ? top.note : eager.note;
  return [...ratios, {
    what: "6x384: fused over eager",
    ...(eager.ms && top.ms ? ratioOf(eager.ms, top.ms) : {}),
    target: FUSED_TARGET,
    note,
  }];
}

/** One line of text. */
export function describeRatio({ what, ratio, best, target, note }: Ratio): string {
  if (ratio === undefined) return `${what}: no ratio${note ? ` (${shorten(note)})` : ""}`;
  const verdict = target === undefined
    ? ""
    : ` (target ${target}: ${ratio >= target ? "reached" : "missed"})`;
  const bests = best === undefined ? "" : `, best runs ${times(best)}`;
  return `${what}: ${times(ratio)}${bests}${verdict}`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 1)} x`;
}
