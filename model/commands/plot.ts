/**
 * A plot of a loss in braille characters: eight dots a character, so that a curve has shape even in a narrow terminal.
 *
 * @module
 */

/** Dots of a braille character, by column and row, as bits of its code point (Unicode 15, chapter 21.1). */
const DOTS = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const BRAILLE = 0x2800;

/** A point of a curve: position and value. */
export type Point = readonly [x: number, y: number];

/**
 * Draws a curve (points in ascending x) in `columns` x `rows` characters, with the range of both axes beside it.
 * Points that share a column of dots are averaged; columns without one are joined by a straight line. Values that are
 * not finite are left out; with fewer than two points the text is empty.
 */
export function plot(curve: readonly Point[], columns: number, rows: number): string {
  const points = curve.filter(([, value]) => Number.isFinite(value));
  if (points.length < 2) return "";
  const values = points.map(([, value]) => value);
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const labels = [high, low].map((value) => value.toFixed(2));
  const margin = Math.max(...labels.map((label) => label.length));
  const width = Math.max(4, columns - margin - 2);
  const cells = drawCurve(resample(points, 2 * width), low, high, width, rows);
  const lines = cells.map((row, index) => {
    const label = index === 0 ? labels[0] : index === rows - 1 ? labels[1] : "";
    return `${label.padStart(margin)} ┤${row}`;
  });
  const [first, last] = [`${points[0][0]}`, `${points[points.length - 1][0]}`];
  return [...lines, " ".repeat(margin + 2) + first + last.padStart(width - first.length)].join("\n");
}

/** Sets the dots of a curve with two values for each character. */
function drawCurve(values: readonly number[], low: number, high: number, width: number, rows: number) {
  const cells = Array.from({ length: rows }, () => new Array<number>(width).fill(BRAILLE));
  const heightOf = (value: number) =>
    Math.round((high === low ? 0.5 : (high - value) / (high - low)) * (4 * rows - 1));
  let before = heightOf(values[0]);
  values.forEach((value, column) => {
    const at = heightOf(value);
    // A steep piece is a vertical stroke from its neighbour's height.
    const from = at > before ? before + 1 : at < before ? before - 1 : at;
    for (let dot = Math.min(from, at); dot <= Math.max(from, at); dot++) {
      cells[dot >> 2][column >> 1] |= DOTS[column & 1][dot & 3];
    }
    before = at;
  });
  return cells.map((row) => String.fromCharCode(...row));
}

/** Values of the curve at `count` equally wide columns. */
function resample(points: readonly Point[], count: number): number[] {
  const first = points[0][0];
  const span = points[points.length - 1][0] - first;
  const sums = new Float64Array(count);
  const counts = new Float64Array(count);
  for (const [x, y] of points) {
    const column = Math.min(count - 1, Math.floor((x - first) / span * count));
    sums[column] += y;
    counts[column]++;
  }
  const known = [...counts.keys()].filter((column) => counts[column] > 0);
  let next = 0;
  return Array.from(counts, (inColumn, column) => {
    if (inColumn > 0) return sums[column] / inColumn;
    while (known[next] < column) next++;
    const [left, right] = [known[next - 1], known[next]];
    const part = (column - left) / (right - left);
    return (1 - part) * sums[left] / counts[left] + part * sums[right] / counts[right];
  });
}
