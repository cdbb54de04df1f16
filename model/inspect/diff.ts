/**
 * Two compilations side by side: of two modes, or of now and a dump that was made with `--json`. Kernels are compared by their text,
 * without the names that the compiler gives them.
 *
 * @module
 */
import type { ProgramReport } from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";

/** A kernel text that only one of the two has, or has more often. */
export interface KernelChange {
  readonly name: string;
  /** What it computes. */
  readonly title: string;
  /** Launches before and after. */
  readonly launches: readonly [before: number, after: number];
  /** Bytes and operations of its launches: before and after. */
  readonly bytes: readonly [before: number, after: number];
  readonly flops: readonly [before: number, after: number];
}

/** What differs. */
export interface ReportDiff {
  readonly names: readonly [before: string, after: string];
  /** Whether the programs are the same to the letter. */
  readonly isEqual: boolean;
  /** Totals by what they count: before and after. */
  readonly totals: Readonly<Record<string, readonly [before: number, after: number]>>;
  readonly kernels: readonly KernelChange[];
}

/** Compares two reports. */
export function diffReports(before: ProgramReport, after: ProgramReport): ReportDiff {
  const [old, now] = [tallyOf(before), tallyOf(after)];
  const kernels: KernelChange[] = [];
  for (const text of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(text), now.get(text)];
    if (a?.launches === b?.launches) continue;
    const { name, title } = (b ?? a)!;
    const pair = (key: "launches" | "bytes" | "flops") => [a?.[key] ?? 0, b?.[key] ?? 0] as const;
    kernels.push({ name, title, launches: pair("launches"), bytes: pair("bytes"), flops: pair("flops") });
  }
  kernels.sort((a, b) => change(b) - change(a));
  return {
    names: [before.name, after.name],
    isEqual: before.hash === after.hash,
    totals: {
      kernels: [before.kernels.length, after.kernels.length],
      launches: [before.dispatches.length, after.dispatches.length],
      bytes: [sum(before, "bytes"), sum(after, "bytes")],
      flops: [sum(before, "flops"), sum(after, "flops")],
      peakBytes: [before.peakBytes, after.peakBytes],
    },
    kernels,
  };
}

const change = ({ bytes: [before, after] }: KernelChange) => Math.abs(after - before);

interface Tally {
  readonly name: string;
  readonly title: string;
  launches: number;
  bytes: number;
  flops: number;
}

function tallyOf({ kernels, dispatches, groups }: ProgramReport): Map<string, Tally> {
  const titles = new Map(groups.map(({ id, title }) => [id, title]));
  const tallies = new Map<string, Tally>();
  for (const { kernel, group, bytes, flops } of dispatches) {
    const { name, wgsl } = kernels[kernel];
    const text = wgsl.replaceAll(name, "kernel");
    const tally = tallies.get(text) ??
      { name, title: titles.get(group) ?? "copy", launches: 0, bytes: 0, flops: 0 };
    tally.launches++;
    tally.bytes += bytes;
    tally.flops += flops;
    tallies.set(text, tally);
  }
  return tallies;
}

function sum({ dispatches }: ProgramReport, key: "bytes" | "flops"): number {
  return dispatches.reduce((total, dispatch) => total + dispatch[key], 0);
}

/**
 * Reads a dump of `deno task inspect --json`.
 *
 * @throws {InputError} when it is none.
 */
export async function readReport(path: string): Promise<ProgramReport> {
  const flag = `--diff ${path}`;
  let report: ProgramReport;
  try {
    report = JSON.parse(await Deno.readTextFile(path));
  } catch (problem) {
    const text = problem instanceof SyntaxError
      ? "it is not JSON"
      : `it cannot be read (${(problem as Error).message})`;
    throw new InputError(
      flag,
      text,
      "name a mode (fused, eager), or a file that deno task inspect --json has written",
    );
  }
  const isReport = Array.isArray(report?.kernels) && Array.isArray(report.dispatches) &&
    Array.isArray(report.groups);
  if (isReport) return report;
  throw new InputError(flag, "it is no dump of a program", "make one with deno task inspect --json > FILE");
}

/** Kernels of a list that are shown. */
const MOST = 30;

/** The difference for people. */
export function diffText({ names: [before, after], isEqual, totals, kernels }: ReportDiff): string {
  if (isEqual) return `no difference: ${before} and ${after} are the same program\n`;
  const line = (name: string, [a, b]: readonly [number, number], unit: (value: number) => string) => {
    const share = a === 0 ? "" : `  ${b >= a ? "+" : ""}${((b / a - 1) * 100).toFixed(1)}%`;
    return `  ${name.padEnd(10)} ${unit(a).padStart(14)} -> ${unit(b).padStart(14)}${share}`;
  };
  const whole = (value: number) => value.toLocaleString("en-US");
  const mega = (value: number) => `${(value / 1e6).toFixed(1)} M`;
  const gone = kernels.filter(({ launches: [, now] }) => now === 0);
  const fresh = kernels.filter(({ launches: [then] }) => then === 0);
  const other = kernels.filter(({ launches: [then, now] }) => then > 0 && now > 0);
  const list = (title: string, all: readonly KernelChange[], of: 0 | 1) =>
    all.length === 0 ? [] : [
      "",
      `${title}: ${all.length}`,
      ...all.slice(0, MOST).map(({ name, launches, bytes }) =>
        `  ${`${launches[of]} x`.padStart(5)} ${mega(bytes[of]).padStart(11)}B  ${name}`
      ),
      ...all.length > MOST ? [`  … and ${all.length - MOST} more`] : [],
    ];
  return [
    `${before} -> ${after}`,
    line("kernels", totals.kernels, whole),
    line("launches", totals.launches, whole),
    line("bytes", totals.bytes, mega),
    line("flops", totals.flops, mega),
    line("memory", totals.peakBytes, mega),
    ...list("only before", gone, 0),
    ...list("only after", fresh, 1),
    ...other.length === 0 ? [] : [
      "",
      `launched more or less often: ${other.length}`,
      ...other.map(({ name, launches: [then, now] }) => `  ${then} -> ${now}  ${name}`),
    ],
    "",
  ].join("\n");
}
