/**
 * What {@link NodeView} and its like say, for people at a terminal.
 *
 * @module
 */
import { bold, cyan, dim, green, yellow } from "@std/fmt/colors";
import type { KernelLine, KernelView, Launch, NodeLine, NodeView, SourceView } from "./explore.ts";

/** Turns parts of a text into colours, or leaves them as they are. */
export interface Paint {
  strong(text: string): string;
  name(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  faint(text: string): string;
}

const plain = (text: string) => text;

/** Colours on a terminal that wants them. */
export function paintFor(isTerminal: boolean): Paint {
  return isTerminal
    ? { strong: bold, name: cyan, good: green, warn: yellow, faint: dim }
    : { strong: plain, name: plain, good: plain, warn: plain, faint: plain };
}

/** Nodes of a list that are shown. */
const MOST = 40;

/** A node and its surroundings. */
export function nodeText(
  { node, inputs, readers, computedBy, computedIn, reasons }: NodeView,
  paint: Paint,
): string {
  const fate = computedBy
    ? [`computed by ${kernelText(computedBy, paint)}`, node.isStored ? "stored" : "never leaves the kernel"]
    : computedIn.length > 0
    ? ["no kernel of its own: computed where it is read"]
    : ["a leaf, or a view of another value"];
  return section(paint, [
    ["", [nodeLine(node, paint)]],
    ["", fate],
    ["computed in", computedIn.map((kernel) => kernelText(kernel, paint))],
    ["passes through memory because", reasons],
    ["reads", inputs.map((each) => nodeLine(each, paint))],
    ["is read by", readers.map((each) => nodeLine(each, paint))],
  ]);
}

/** A kernel, all of it. */
export function kernelViewText(
  { kernel, name, ir, wgsl, workgroupSize, schedule, launches }: KernelView,
  paint: Paint,
): string {
  const head = `${paint.strong(name)}  kernel ${kernel}, workgroups of ${workgroupSize.join(" x ")}` +
    (schedule === undefined ? "" : `, schedule ${schedule}`);
  const shown = launches.slice(0, 3).map((launch) => launchText(launch, paint));
  const others = launches.length - shown.length;
  return [
    head,
    "",
    ...shown,
    ...others > 0
      ? [`… and ${others} more launches: ${launches.slice(3).map(({ position }) => position).join(", ")}`, ""]
      : [],
    paint.strong("Kernel IR"),
    ir.trimEnd(),
    "",
    paint.strong("WGSL"),
    wgsl.trimEnd(),
    "",
  ].join("\n");
}

function launchText(
  { position, workgroups, bytes, flops, reads, writes, nodes, begins, ends }: Launch,
  paint: Paint,
): string {
  return section(paint, [
    ["", [
      paint.strong(`launch ${position}`) + `: ${workgroups.join(" x ")} workgroups, ${cost(bytes, flops)}`,
    ]],
    ["computes", nodes.map((each) => nodeLine(each, paint))],
    ["begins here because", begins],
    ["ends here because", ends],
    ["reads", reads],
    ["writes", writes],
  ]);
}

/** A line of source and what it became. */
export function sourceText({ site, text, traced, nodes, kernels }: SourceView, paint: Paint): string {
  const phases = (list: readonly NodeLine[]) => {
    const counts = Object.entries(Object.groupBy(list, ({ phase }) => phase)).map(([phase, all]) =>
      `${all!.length} ${phase}`
    );
    return counts.length > 0 ? ` (${counts.join(", ")})` : "";
  };
  return section(paint, [
    ["", [paint.name(site), ...text === undefined ? [] : [`    ${text}`]]],
    [`traced: ${traced.length} nodes${phases(traced)}`, traced.map((each) => nodeLine(each, paint, false))],
    [
      `after simplification: ${nodes.length} nodes${phases(nodes)}`,
      nodes.map((each) => nodeLine(each, paint, false)),
    ],
    [
      `in ${kernels.length} kernels, in the order in which they run`,
      kernels.map((kernel) => kernelText(kernel, paint)),
    ],
  ]);
}

function nodeLine({ text, scope, site, isStored }: NodeLine, paint: Paint, hasSite = true): string {
  const where = [scope, hasSite ? site : undefined].filter((part) => part).join("  ");
  return `${text}${isStored ? paint.good("  (stored)") : ""}${where ? paint.faint(`  # ${where}`) : ""}`;
}

function kernelText({ kernel, name, position, bytes, flops }: KernelLine, paint: Paint): string {
  return `${`${position}`.padStart(4)}  ${paint.name(name)}  ${
    paint.faint(`kernel ${kernel}, ${cost(bytes, flops)}`)
  }`;
}

function cost(bytes: number, flops: number): string {
  return `moves ${(bytes / 1e6).toFixed(2)} MB, ${(flops / 1e6).toFixed(1)} Mflop`;
}

function section(
  paint: Paint,
  parts: readonly (readonly [title: string, lines: readonly string[]])[],
): string {
  const blocks = parts.filter(([, lines]) => lines.length > 0).map(([title, lines]) => {
    const shown = lines.slice(0, MOST).map((line) => title === "" ? line : `  ${line}`);
    const rest = lines.length > MOST ? [`  … and ${lines.length - MOST} more`] : [];
    return [...title === "" ? [] : [paint.strong(title)], ...shown, ...rest].join("\n");
  });
  return `${blocks.join("\n")}\n`;
}
