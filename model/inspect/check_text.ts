/**
 * What checks, bisections and kernels written by hand found, as text for a terminal.
 *
 * @module
 */
import { type CheckedKernel, type CheckReport, isWrong } from "./check.ts";
import type { Bisection, Difference } from "./bisect.ts";
import type { Deviation } from "./compare.ts";
import type { EditOutcome } from "./edit.ts";

/** How many right kernels a check lists. */
const LISTED = 8;

/** A check, the largest errors first; all wrong kernels are listed, and the farthest of the right ones. */
export function checkText(report: CheckReport): string {
  const { program, kernels, skipped, ms } = report;
  const wrong = kernels.filter(isWrong);
  const launches = kernels.length + skipped.length;
  const verdict = wrong.length === 0
    ? "all within what rounding explains"
    : `${wrong.length} WRONG, the first to run: ${firstOf(wrong).kernel}`;
  return [
    `${program}: ${kernels.length} of ${launches} kernel launches held against float64 in ${
      seconds(ms)
    }: ${verdict}`,
    ...noticesOf(report),
    "",
    "of tolerance  relative  absolute  launch  kernel",
    ...kernels.slice(0, Math.max(wrong.length, LISTED)).flatMap(kernelLines),
  ].join("\n");
}

function firstOf(kernels: readonly CheckedKernel[]): CheckedKernel {
  return kernels.reduce((first, kernel) => kernel.position < first.position ? kernel : first);
}

function noticesOf({ kernels, skipped }: CheckReport): string[] {
  const partly = kernels.filter(({ share }) => share < 1);
  const names = [...new Set(skipped.map(({ kernel }) => kernel))];
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return [
    ...partly.length === 0 ? [] : [
      `of ${partly.length} only parts were compared, since float64 takes long on the host; --limit SECONDS for each ` +
      "allows more, smaller sizes are faster",
    ],
    ...names.length === 0
      ? []
      : [`skipped, since single elements take too long: ${names.slice(0, 3).join(", ")}${more}`],
  ];
}

/** A kernel in two or three lines. */
export function kernelLines(checked: CheckedKernel): string[] {
  const { position, kernel, node, scope, site, deviation, share: compared, notFinite, stray } = checked;
  const { excess, relative, absolute } = deviation;
  const share = excess === Infinity || (stray && excess <= 1)
    ? "WRONG"
    : excess > 1
    ? `${short(excess)} x`
    : `${short(100 * excess)} %`;
  const indent = " ".repeat(14);
  return [
    [
      share.padStart(12),
      short(relative).padStart(8),
      short(absolute).padStart(8),
      `${position}`.padStart(6),
      kernel,
    ]
      .join("  "),
    `${indent}${node}${place(scope, site)}`,
    `${indent}${elementText(node, deviation)}${compared < 1 ? `; ${short(100 * compared)} % compared` : ""}`,
    ...stray
      ? [
        `${indent}it changes ${stray.words} words of ${stray.buffer} from byte ${stray.offset} on, where it stores nothing`,
      ]
      : [],
    ...Number.isNaN(deviation.given) && !Number.isNaN(deviation.expected)
      ? [`${indent}memory that a kernel does not write stays NaN`]
      : [],
    ...notFinite.length === 0 ? [] : [
      `${indent}it was given numbers that are not finite, in ${
        notFinite.join(", ")
      }: look at what stored those`,
    ],
  ];
}

function place(scope: string, site?: string): string {
  const where = [scope, site].filter((part) => part).join(", ");
  return where && `   // ${where}`;
}

/** `[0,3,17] is 0.5, float64 gives 0.25; 12 of 4096 elements are wrong`. */
function elementText(
  node: string,
  { element, given, expected, wrong, elements }: Deviation,
  other = "float64 gives",
) {
  const all = wrong === 0 ? "" : `; ${wrong} of ${elements} elements are wrong`;
  return `${indexText(node, element)} is ${number(given)}, ${other} ${number(expected)}${all}`;
}

/** The index of a row-major element in a node whose text says its shape. */
function indexText(node: string, element: number): string {
  const shape =
    /^%\d+: \w+\[([\d,]*)\]/.exec(node)?.[1].split(",").filter((size) => size !== "").map(Number) ?? [];
  const index: number[] = [];
  for (const size of shape.toReversed()) {
    index.unshift(element % size);
    element = Math.floor(element / size);
  }
  return `[${index}]`;
}

/** A bisection. */
export function bisectionText({ mine, theirs, compared, different, first, wrong }: Bisection): string {
  const head = `${mine} against ${theirs}: ${compared} values that both store`;
  if (compared === 0) return `${head}; the two programs have nothing in common`;
  if (!first) return `${head}, none differs beyond rounding`;
  return [
    `${head}, ${different} differ; the first:`,
    ...differenceLines(first, mine, theirs),
    "",
    ...wrong.length === 0
      ? [
        `float64 finds no kernel of ${mine} wrong there: it is ${first.theirs.kernel} of ${theirs}, memory that another`,
        "kernel has overwritten (--check looks at all of them), or rounding that adds up",
      ]
      : wrong.flatMap(({ label, kernel }) => [
        `WRONG: ${kernel.kernel} of ${label}, against float64 on its own inputs:`,
        ...kernelLines(kernel),
      ]),
  ].join("\n");
}

function differenceLines(first: Difference, mine: string, theirs: string): string[] {
  const { node, scope, site, deviation } = first;
  return [
    `  ${node}${place(scope, site)}`,
    `  ${elementText(node, deviation, `${theirs} gives`)}`,
    `  ${mine} stores it in ${first.mine.kernel} (launch ${first.mine.position}), ${theirs} in ${first.theirs.kernel} ` +
    `(launch ${first.theirs.position})`,
  ];
}

/** What became of a kernel written by hand. */
export function editText(outcome: EditOutcome): string {
  const { path, kernel } = outcome;
  if (outcome.kind === "written") return `${kernel} lies in ${path}: change it there and run this again`;
  if (outcome.kind === "refused") return `${path}: ${outcome.problem}`;
  const { generated, byHand, unchecked, sameBits, duel } = outcome.trial;
  const [ours, theirs] = duel.ms;
  const worst = (kernels: readonly CheckedKernel[]) =>
    kernels.length === 0 ? "-" : short(Math.max(...kernels.map(({ deviation }) => deviation.relative)));
  const rows = [
    ["", "ms a launch", "error against float64"],
    ["generated", ours.toPrecision(3), worst(generated)],
    ["by hand", theirs.toPrecision(3), worst(byHand)],
  ];
  const wrong = byHand.filter(isWrong);
  const faster = duel.ratio < 1
    ? `${(1 / duel.ratio).toFixed(2)} times as fast as`
    : `${duel.ratio.toFixed(2)} times as slow as`;
  return [
    `${kernel}, by hand in ${path}`,
    ...rows.map((row) => `  ${row[0].padEnd(10)}  ${row[1].padStart(11)}  ${row[2].padStart(21)}`),
    `  ${faster} the generated one (median of ${duel.rounds} pairs of ${duel.launches} launches by turns, ` +
    `${duel.byDevice ? "the device's" : "wall"} clock); ${
      sameBits ? "stores the same bits" : "stores other bits"
    }`,
    ...unchecked === 0
      ? []
      : [`  ${unchecked} launches were not checked: float64 would take too long (--limit)`],
    ...wrong.length === 0 ? [] : ["  WRONG:", ...wrong.slice(0, 3).flatMap(kernelLines)],
  ].join("\n");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function short(value: number): string {
  if (value === 0 || value === Infinity) return `${value}`;
  return value >= 0.01 && value < 1e4 ? value.toPrecision(2) : value.toExponential(1);
}

function number(value: number): string {
  return Number.isFinite(value) ? `${Number(value.toPrecision(9))}` : `${value}`;
}
