/**
 * The ladder as a picture: a bar for each rung on a logarithmic axis of milliseconds, since the first rungs are tens of
 * times slower than the last; in SVG that reads in light and in dark.
 *
 * @module
 */
import type { Ladder } from "./report.ts";
import { factor, milliseconds, shorten } from "./text.ts";

const WIDTH = 900;
const LABELS = 250;
const FIGURES = 190;
const ROW = 30;
const BAR = 18;
const HEAD = 78;
const GAP = 26;
const MARGIN = 20;

/** Colours as CSS variables: the media query swaps them where the reader prefers dark. */
const STYLE = `
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #656d76; --bar: #0969da; --whisker: #1f2328; --rule: #d0d7de; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #8d96a0; --bar: #4493f8; --whisker: #e6edf3; --rule: #30363d; }
  }
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink); }
  .title { font-size: 16px; font-weight: 600; }
  .faint { fill: var(--faint); }
  .tick { font-size: 11px; text-anchor: middle; }
  .figure { font-variant-numeric: tabular-nums; }
  .paper { fill: var(--paper); }
  .bar { fill: var(--bar); }
  .whisker { stroke: var(--whisker); stroke-width: 1; opacity: 0.7; }
  .rule { stroke: var(--rule); stroke-width: 1; }`;

/** Draws the ladders below one another. `subtitle` says where they were climbed. */
export function drawLadders(ladders: readonly Ladder[], subtitle: string): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const ladder of ladders) {
    parts.push(drawLadder(ladder, subtitle, y));
    y += HEAD + ladder.rungs.length * ROW + GAP;
  }
  const height = y - GAP + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Milliseconds of a training step, rung by rung">
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
${parts.join("\n")}
</svg>
`;
}

function drawLadder(
  { case: name, tokens, parameters, rungs }: Ladder,
  subtitle: string,
  top: number,
): string {
  const axis = axisOf(rungs.flatMap(({ ms }) => ms ? [ms.min, ms.max] : []));
  const left = MARGIN + LABELS;
  const at = (ms: number) => left + axis.position(ms) * (WIDTH - LABELS - FIGURES - 2 * MARGIN);
  const first = rungs.find(({ ms }) => ms);
  const million = (parameters / 1e6).toFixed(parameters < 1e7 ? 1 : 0);
  const title = `${name}: a training step of ${tokens.toLocaleString("en")} tokens, ${million} M parameters`;
  const bottom = top + HEAD + rungs.length * ROW - 4;
  const lines = [
    text(MARGIN, top + 16, "title", title),
    text(
      MARGIN,
      top + 36,
      "faint",
      `${subtitle}. Milliseconds, logarithmic; medians, thin lines from minimum to maximum`,
    ),
    ...axis.ticks.flatMap((ms) => [
      `<line class="rule" x1="${at(ms).toFixed(1)}" x2="${at(ms).toFixed(1)}" y1="${
        top + HEAD - 6
      }" y2="${bottom}"/>`,
      text(at(ms), top + HEAD - 12, "faint tick", ms.toLocaleString("en")),
    ]),
  ];
  rungs.forEach((rung, i) => {
    const middle = top + HEAD + i * ROW + BAR / 2;
    lines.push(text(MARGIN, middle + 4.5, rung.ms ? "" : "faint", rung.title));
    if (!rung.ms) {
      lines.push(text(left + 8, middle + 4.5, "faint", shorten(`${rung.status}: ${rung.note ?? ""}`, 80)));
      return;
    }
    const { min, median, max } = rung.ms;
    const length = Math.max(1.5, at(median) - left);
    lines.push(
      `<rect class="bar" x="${left}" y="${middle - BAR / 2}" width="${
        length.toFixed(1)
      }" height="${BAR}" rx="2"/>`,
      `<line class="whisker" x1="${at(min).toFixed(1)}" x2="${
        at(max).toFixed(1)
      }" y1="${middle}" y2="${middle}"/>`,
    );
    const times = factor(first, rung)!;
    const notes = [
      `${milliseconds(median)} ms`,
      ...(rung === first ? [] : [`${times.toFixed(times < 10 ? 2 : 1)} ×`]),
      ...(rung.dtype === "f32" ? [] : [rung.dtype]),
      ...(rung.status === "same" ? ["same program"] : []),
    ];
    lines.push(text(at(max) + 8, middle + 4.5, "figure", notes.join(" · ")));
  });
  return lines.join("\n");
}

/** A logarithmic axis around some times, with ticks at 1, 2 and 5 times powers of ten. */
export function axisOf(times: readonly number[]): { ticks: number[]; position: (ms: number) => number } {
  if (times.length === 0) return { ticks: [], position: () => 0 };
  const [lowest, highest] = [Math.min(...times), Math.max(...times)];
  const low = Math.floor(Math.log10(lowest) - 0.15);
  const steps: number[] = [];
  for (let power = low; power <= Math.ceil(Math.log10(highest)); power++) {
    steps.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
  }
  // The axis begins at the last tick that leaves the shortest bar a length.
  const start = steps.findLast((tick) => tick <= lowest / 1.4) ?? steps[0];
  const ticks = steps.filter((tick) => tick >= start && tick <= highest);
  const span = Math.log(Math.max(highest, start * 2) / start);
  return { ticks, position: (ms) => Math.log(ms / start) / span };
}

function text(x: number, y: number, style: string, content: string): string {
  const kind = style ? ` class="${style}"` : "";
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${kind}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
