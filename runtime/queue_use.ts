/**
 * How busy a device was while its submissions were recorded: the share of time in which it worked, and the gaps between,
 * each with what the host did in it.
 *
 * @module
 */
import type { Recording } from "./recorder.ts";
import type { TraceSpan } from "./trace_events.ts";

/** A time in which the device had nothing to do. */
export interface QueueGap {
  /** Milliseconds, on the recording's clock. */
  readonly start: number;
  /** Likewise. */
  readonly end: number;
  /** What the device did before and after it. */
  readonly between: readonly [string, string];
  /** What the host did, the longest first, with milliseconds. */
  readonly host: readonly { readonly name: string; readonly ms: number }[];
}

/** What {@link queueUse} finds. */
export interface QueueUse {
  /** From the first submission's beginning to the last one's end, in milliseconds. */
  readonly windowMs: number;
  /** Share of it in which the device worked, at most 1. */
  readonly busyShare: number;
  /** All gaps, the longest first. */
  readonly gaps: readonly QueueGap[];
}

/** Looks at the submissions of a recording that were timed as they always run; undefined when there are none. */
export function queueUse({ device, host }: Recording): QueueUse | undefined {
  const spans = device.filter(({ mode }) => mode === "queue");
  if (spans.length === 0) return undefined;
  const windowMs = spans.at(-1)!.end - spans[0].start;
  const leaves = host.filter((span) => !host.some((other) => other !== span && isInside(other, span)));
  const gaps = spans.slice(1).map(({ start: end, name }, i): QueueGap => {
    const { end: start, name: before } = spans[i];
    return { start, end, between: [before, name], host: during(leaves, start, end) };
  });
  const idleMs = gaps.reduce((sum, { start, end }) => sum + end - start, 0);
  gaps.sort((a, b) => (b.end - b.start) - (a.end - a.start));
  return { windowMs, busyShare: windowMs > 0 ? 1 - idleMs / windowMs : 1, gaps };
}

/** True when `inner` lies within `outer`; of two that are equal the later one lies within the earlier. */
function isInside(inner: TraceSpan, outer: TraceSpan): boolean {
  return inner.start >= outer.start && inner.end <= outer.end &&
    (inner.start > outer.start || inner.end < outer.end);
}

function during(spans: readonly TraceSpan[], start: number, end: number): QueueGap["host"] {
  const times = new Map<string, number>();
  for (const span of spans) {
    const ms = Math.min(span.end, end) - Math.max(span.start, start);
    if (ms > 0) times.set(span.name, (times.get(span.name) ?? 0) + ms);
  }
  return Array.from(times, ([name, ms]) => ({ name, ms })).sort((a, b) => b.ms - a.ms);
}
