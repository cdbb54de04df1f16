/**
 * The ladder as a picture: a bar for each rung, as long as its step takes, in SVG that reads in light and in dark.
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
const HEAD = 58;
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
  const longest = Math.max(...rungs.map(({ ms }) => ms?.max ?? 0), 1e-9);
  const scale = (WIDTH - LABELS - FIGURES - 2 * MARGIN) / longest;
  const left = MARGIN + LABELS;
  const first = rungs.find(({ ms }) => ms);
  const million = (parameters / 1e6).toFixed(parameters < 1e7 ? 1 : 0);
  const lines = [
    text(
      MARGIN,
      top + 16,
      "title",
      `${name}: a training step of ${tokens.toLocaleString("en")} tokens, ${million} M parameters`,
    ),
    text(MARGIN, top + 36, "faint", subtitle),
    `<line class="rule" x1="${left}" x2="${left}" y1="${top + HEAD - 6}" y2="${
      top + HEAD + rungs.length * ROW - 4
    }"/>`,
  ];
  rungs.forEach((rung, i) => {
    const middle = top + HEAD + i * ROW + BAR / 2;
    lines.push(text(MARGIN, middle + 4.5, rung.ms ? "" : "faint", rung.title));
    if (!rung.ms) {
      lines.push(text(left + 8, middle + 4.5, "faint", shorten(`${rung.status}: ${rung.note ?? ""}`, 80)));
      return;
    }
    const { min, median, max } = rung.ms;
    const length = Math.max(1.5, median * scale);
    lines.push(
      `<rect class="bar" x="${left}" y="${middle - BAR / 2}" width="${
        length.toFixed(1)
      }" height="${BAR}" rx="2"/>`,
      `<line class="whisker" x1="${(left + min * scale).toFixed(1)}" x2="${
        (left + max * scale).toFixed(1)
      }" y1="${middle}" y2="${middle}"/>`,
    );
    const times = factor(first, rung)!;
    const gain = rung === first ? "" : `  ${times.toFixed(times < 10 ? 2 : 1)} ×`;
    const note = rung.status === "same" ? " (same program)" : rung.dtype === "f32" ? "" : ` ${rung.dtype}`;
    const end = Math.max(length, max * scale);
    lines.push(text(left + end + 8, middle + 4.5, "figure", `${milliseconds(median)} ms${gain}${note}`));
  });
  return lines.join("\n");
}

function text(x: number, y: number, style: string, content: string): string {
  const kind = style ? ` class="${style}"` : "";
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${kind}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
