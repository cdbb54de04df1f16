/**
 * Spans on named rows as a Chrome trace: the JSON that Perfetto and chrome://tracing open (Google's "Trace Event Format").
 * A row is a thread of a process there; spans of one row lie inside each other or apart. Plain data in, text out.
 *
 * @module
 */

/** Facts beside an event: the viewer shows them when the event is chosen. */
export type TraceArgs = Readonly<Record<string, string | number>>;

/** Something that took time. */
export interface TraceSpan {
  /** What it was. */
  readonly name: string;
  /** Kind of event, for the viewer's filters. */
  readonly category: string;
  /** Milliseconds since a moment that all events of a trace share. */
  readonly start: number;
  /** Likewise, not before `start`. */
  readonly end: number;
  /** What there is to say about it. */
  readonly args?: TraceArgs;
}

/** Spans that are drawn on one line, with those inside others below them. */
export interface TraceRow {
  /** Heading of several rows, such as `GPU`. */
  readonly process: string;
  /** Name of the row. */
  readonly thread: string;
  /** In any order. */
  readonly spans: readonly TraceSpan[];
}

/** A number that changes over time, drawn as a curve. */
export interface TraceCounter {
  /** Name of the curve. */
  readonly name: string;
  /** Heading under which it is drawn; that of a row. */
  readonly process: string;
  /** Milliseconds since the moment that all events share. */
  readonly at: number;
  /** Its value from then on. */
  readonly value: number;
}

/** Everything that a trace file holds. */
export interface Trace {
  /** In the order in which they are drawn. */
  readonly rows: readonly TraceRow[];
  /** Curves. */
  readonly counters: readonly TraceCounter[];
  /** What the trace is of; the file's `otherData`. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The text of the trace file: one event a line, times in microseconds from the first event on. */
export function traceText({ rows, counters, facts }: Trace): string {
  const starts = [
    ...rows.flatMap(({ spans }) => spans.map(({ start }) => start)),
    ...counters.map(({ at }) => at),
  ];
  const origin = starts.reduce((least, start) => Math.min(least, start), Infinity);
  // Rounding both ends, and not start and length, keeps spans inside of those that they were inside of.
  const micros = (ms: number) => Math.round((ms - origin) * 1e6) / 1e3;
  const processes = [...new Set([...rows, ...counters].map(({ process }) => process))];
  const pidOf = (process: string) => processes.indexOf(process) + 1;
  const events: unknown[] = [];
  processes.forEach((name, i) => {
    events.push({ ph: "M", pid: i + 1, name: "process_name", args: { name } });
    events.push({ ph: "M", pid: i + 1, name: "process_sort_index", args: { sort_index: i } });
  });
  rows.forEach(({ process, thread, spans }, i) => {
    const place = { pid: pidOf(process), tid: i + 1 };
    events.push({ ph: "M", ...place, name: "thread_name", args: { name: thread } });
    events.push({ ph: "M", ...place, name: "thread_sort_index", args: { sort_index: i } });
    for (const { name, category, start, end, args } of outermostFirst(spans)) {
      const ts = micros(start);
      const dur = Math.round((micros(end) - ts) * 1e3) / 1e3;
      events.push({ ph: "X", ...place, name, cat: category, ts, dur, ...(args && { args }) });
    }
  });
  for (const { name, process, at, value } of counters) {
    events.push({ ph: "C", pid: pidOf(process), name, ts: micros(at), args: { [name]: value } });
  }
  const lines = events.map((event) => JSON.stringify(event)).join(",\n");
  return `{"displayTimeUnit":"ms","otherData":${JSON.stringify(facts)},"traceEvents":[\n${lines}\n]}\n`;
}

function outermostFirst(spans: readonly TraceSpan[]): TraceSpan[] {
  return [...spans].sort((a, b) => a.start - b.start || b.end - a.end);
}
