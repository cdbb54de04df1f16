/**
 * The report as tables for a terminal.
 *
 * @module
 */
import { bandwidthOf, type Ceilings } from "./ceilings.ts";
import type { KernelTable } from "./kernels.ts";
import type { RungResult } from "./ladder.ts";
import type { Spread } from "./measure.ts";
import type { Ladder } from "./report.ts";
import { type Comparison, ratioTo } from "./versus.ts";

/** Kernels that a table shows; the JSON has all of them. */
const MOST_KERNELS = 16;

/** Rows under their heads; columns of numbers are set to the right. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i].length)));
  const right = heads.map((_, i) => rows.every((row) => /^([-+]?[\d.,]+.*)?$|^-$/.test(row[i])));
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => right[i] ? cell.padStart(width[i]) : cell.padEnd(width[i])).join("  ").trimEnd();
  return [heads, ...rows].map(line).join("\n");
}

/** Milliseconds with three digits that mean something. */
export function milliseconds(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** Median, and in parentheses minimum and maximum. */
export function spread({ median, min, max }: Spread): string {
  return `${milliseconds(median)} (${milliseconds(min)} - ${milliseconds(max)})`;
}

/** The adapter's ceilings in three lines. */
export function ceilingLines(ceilings: Ceilings): string {
  const { f32Gflops, f16Gflops, copyGBs, readGBs, driverCopyGBs, dispatchUs, submitUs } = ceilings;
  return [
    `arithmetic in registers: f32 ${f32Gflops.toFixed(0)} GFLOP/s, f16 ${
      f16Gflops ? `${f16Gflops.toFixed(0)} GFLOP/s` : "none"
    }`,
    `memory: kernel copies ${copyGBs.toFixed(1)} GB/s, reads ${readGBs.toFixed(1)} GB/s, the driver copies ${
      driverCopyGBs.toFixed(1)
    } GB/s`,
    `launches: ${dispatchUs.toFixed(1)} us a dispatch, ${submitUs.toFixed(0)} us a submission`,
  ].join("\n");
}

/** A rung's arithmetic and bytes as shares of the ceilings, at its median. */
export function sharesOf(
  { ms, flops, bytesMoved }: RungResult,
  ceilings: Ceilings,
): { arithmetic: number; bandwidth: number } | undefined {
  if (!ms || flops === undefined || bytesMoved === undefined) return undefined;
  return {
    arithmetic: flops / ms.median / 1e6 / ceilings.f32Gflops,
    bandwidth: bytesMoved / ms.median / 1e6 / bandwidthOf(ceilings),
  };
}

/** Factor between the medians of two rungs. */
export function factor(from: RungResult | undefined, to: RungResult): number | undefined {
  return from?.ms && to.ms ? from.ms.median / to.ms.median : undefined;
}

/** The rung that this one adds to: one of its dtype if there is one, since the ladder goes on with the faster dtype. */
export function rungBelow(rungs: readonly RungResult[], at: number): RungResult | undefined {
  const below = rungs.slice(0, at).filter(({ ms }) => ms);
  return below.findLast(({ dtype }) => dtype === rungs[at].dtype) ?? below.at(-1);
}

/** A ladder as a table, followed by the reasons of rungs that were not measured. */
export function ladderTable({ rungs }: Ladder, ceilings: Ceilings): string {
  const first = rungs.find(({ ms }) => ms);
  const rows = rungs.map((rung, i) => {
    const { ms } = rung;
    if (!ms) return [rung.title, rung.status, ...new Array<string>(11).fill("")];
    const shares = sharesOf(rung, ceilings)!;
    const below = rungBelow(rungs, i);
    return [
      rung.title,
      spread(ms),
      below ? `${factor(below, rung)!.toFixed(2)} x` : "",
      `${factor(first, rung)!.toFixed(2)} x`,
      rung.tokensPerSecond!.toFixed(0),
      String(rung.dispatches),
      megabytes(rung.bytesMoved!),
      megabytes(rung.peakBytes!),
      percent(shares.arithmetic),
      percent(shares.bandwidth),
      rung.dtype,
      rung.losses![0].toFixed(4),
      rung.losses!.at(-1)!.toFixed(4),
    ];
  });
  const heads = [
    "rung",
    "ms a step (min - max)",
    "gain",
    "in all",
    "tok/s",
    "launches",
    "MB moved",
    "MB peak",
    "arithm.",
    "bandw.",
    "dtype",
    "first loss",
    "last loss",
  ];
  const notes = rungs.filter(({ note }) => note).map(({ title, note }) => `  ${title}: ${shorten(note!)}`);
  return [table(heads, rows), ...notes].join("\n");
}

/** The slowest kernels of a step. */
export function kernelTable({ kernels, ms }: KernelTable, ceilings: Ceilings): string {
  const rows = kernels.slice(0, MOST_KERNELS).map((row) => [
    row.kernel,
    String(row.launches),
    spread(row.ms),
    percent(row.share),
    row.gflops.toFixed(1),
    row.gbs.toFixed(2),
    `${percent(row.ofCeiling)} of ${row.bound}`,
  ]);
  const rest = kernels.slice(MOST_KERNELS);
  const restMs = rest.reduce((sum, row) => sum + row.ms.median, 0);
  return [
    table(
      ["kernel", "launches", "ms a step (min - max)", "share", "GFLOP/s", "GB/s", "of its ceiling"],
      rows,
    ),
    ...(rest.length > 0 ? [`${rest.length} more kernels: ${milliseconds(restMs)} ms`] : []),
    `all kernels: ${milliseconds(ms)} ms; ceilings ${ceilings.f32Gflops.toFixed(0)} GFLOP/s, ${
      bandwidthOf(ceilings).toFixed(1)
    } GB/s`,
  ].join("\n");
}

/** Ours and the peers' figures, a case after the other. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons.flatMap((one) => [
    [
      one.case,
      "sinter",
      one.own.ms ? spread(one.own.ms) : "-",
      rate(one.own),
      "",
      count(one.own.dispatches),
      one.own.peakBytes === undefined ? "-" : megabytes(one.own.peakBytes),
      one.own.error ? `error: ${shorten(one.own.error)}` : "",
    ],
    ...one.peers.map((peer) => {
      const { ratio } = ratioTo(one, peer.peer);
      return [
        "",
        peer.peer,
        peer.ms ? spread(peer.ms) : "-",
        rate(peer),
        ratio === undefined ? "" : `${ratio.toFixed(2)} x`,
        count(peer.dispatches),
        peer.peakBytes === undefined ? "-" : megabytes(peer.peakBytes),
        peer.error ? `error: ${shorten(peer.error)}` : "",
      ];
    }),
  ]);
  const heads = ["case", "who", "ms (min - max)", "rate", "sinter is", "launches", "MB peak", ""];
  return table(heads, rows);
}

function rate({ gflops, tokensPerSecond }: { gflops?: number; tokensPerSecond?: number }): string {
  if (gflops !== undefined) return `${gflops.toFixed(1)} GFLOP/s`;
  return tokensPerSecond === undefined ? "" : `${tokensPerSecond.toFixed(0)} tok/s`;
}

function count(value: number | undefined): string {
  return value === undefined ? "-" : String(value);
}

/** The beginning of a message that may be very long. */
export function shorten(text: string, most = 140): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** 0.123 as `12%`; small shares keep a digit. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)}%`;
}
