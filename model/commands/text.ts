/**
 * Numbers and text as people read them.
 *
 * @module
 */

/** A count with separators: `124,439,808`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** Bytes as `12.3 MiB`. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** A duration in milliseconds as `m:ss` or `h:mm:ss`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (value: number) => `${value}`.padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * Model output for a terminal: control characters could move the cursor or colour the screen, so all but the newline
 * become a visible substitute.
 */
export function printable(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(/[^\P{Cc}\n]/gu, "·");
}

/** Rows below headings, in columns as wide as they need to be; cells that are numbers stand to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const used = headings.map((_, column) => column).filter((column) => rows.some((row) => row[column] !== ""));
  const width = (column: number) =>
    Math.max(headings[column].length, ...rows.map((row) => row[column].length));
  const isNumeric = (column: number) => rows.every((row) => /^[\d.,/]*$/.test(row[column]));
  const line = (cells: readonly string[]) =>
    used.map((column) =>
      isNumeric(column) ? cells[column].padStart(width(column)) : cells[column].padEnd(width(column))
    ).join("  ").trimEnd();
  return [line(headings), ...rows.map(line)].join("\n");
}

/** Bytes as `12.3 MB`, from a thousand on as `1.23 GB`. */
export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
