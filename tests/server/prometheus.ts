/**
 * Reads Prometheus' text format (version 0.0.4) strictly, as a server that scrapes would.
 *
 * @module
 */

/** One line of figures. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with its samples. */
export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** Parses a page of metrics; throws at the first line that the format does not allow. */
export function parseMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Family>();
  const helps = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = line.match(/^# (HELP|TYPE) (\S+) (.*)$/);
    if (comment) {
      const [, kind, name, rest] = comment;
      if (kind === "HELP") helps.set(name, rest);
      else families.set(name, { type: rest, help: helps.get(name) ?? "", samples: [] });
      continue;
    }
    const [, name, labels = "", value] = line.match(SAMPLE) ?? [];
    if (name === undefined) throw new Error(`not a line of metrics: ${line}`);
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""));
    if (!family) throw new Error(`a sample before its type: ${line}`);
    family.samples.push({ name, labels: parseLabels(labels), value: parseNumber(value) });
  }
  return families;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const found = LABEL.exec(text);
    if (!found) throw new Error(`not labels: ${text}`);
    labels[found[1]] = found[2];
  }
  return labels;
}

function parseNumber(text: string): number {
  if (/^[+-]?Inf$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  const value = Number(text);
  if (text !== "NaN" && Number.isNaN(value)) throw new Error(`not a number: ${text}`);
  return value;
}
