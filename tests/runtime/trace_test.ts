/**
 * What is put into a trace file, without a device.
 *
 * @module
 */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { type DeviceSpan, queueUse, type TraceSpan, traceText } from "../../runtime/mod.ts";
import { ClockMap } from "../../runtime/gpu_clock.ts";

const span = (name: string, start: number, end: number): TraceSpan => ({ name, category: "c", start, end });

Deno.test("a trace is JSON with microseconds from its first event on, outer spans before inner ones", () => {
  const text = traceText({
    rows: [
      { process: "GPU", thread: "queue", spans: [span("inner", 10.25, 10.5), span("outer", 10.25, 11)] },
      { process: "host", thread: "main", spans: [{ ...span('a "quoted" name', 10, 12), args: { step: 3 } }] },
    ],
    counters: [{ name: "loss", process: "host", at: 11, value: 2.5 }],
    facts: { adapter: "none" },
  });
  const { traceEvents, otherData } = JSON.parse(text);
  assertEquals(otherData, { adapter: "none" });
  const shown = traceEvents.filter(({ ph }: { ph: string }) => ph !== "M");
  assertEquals(shown, [
    { ph: "X", pid: 1, tid: 1, name: "outer", cat: "c", ts: 250, dur: 750 },
    { ph: "X", pid: 1, tid: 1, name: "inner", cat: "c", ts: 250, dur: 250 },
    { ph: "X", pid: 2, tid: 2, name: 'a "quoted" name', cat: "c", ts: 0, dur: 2000, args: { step: 3 } },
    { ph: "C", pid: 2, name: "loss", ts: 1000, args: { loss: 2.5 } },
  ]);
});

Deno.test("gaps between submissions are found, and what the host did in them is named by its innermost spans", () => {
  const run = (start: number, end: number, mode: "queue" | "kernels" = "queue"): DeviceSpan => ({
    ...span("step", start, end),
    mode,
    kernels: [],
  });
  const host = [span("readback", 10, 22), span("sleep", 11, 20), span("encode", 20, 22)];
  const use = queueUse({
    device: [run(0, 10), run(20, 30), run(31, 40), run(50, 60, "kernels")],
    host: host.map((each) => ({ ...each, thread: "main" })),
    clockErrorMs: 0,
  })!;
  assertEquals(use.windowMs, 40);
  assertAlmostEquals(use.busyShare, 29 / 40);
  assertEquals(use.gaps.map(({ start, end }) => [start, end]), [[10, 20], [30, 31]]);
  assertEquals(use.gaps[0].host, [{ name: "sleep", ms: 9 }]);
  assertEquals(queueUse({ device: [run(0, 1, "kernels")], host: [], clockErrorMs: 0 }), undefined);
});

Deno.test("a device's ticks become the host's time whatever they count, to within the error that is told", () => {
  for (const tickMs of [1e-6, 1e-5, 5.2e-5]) {
    const ticksAt = (ms: number) => BigInt(Math.round(ms / tickMs)) + 12_345_678_901_234n;
    const reading = (ms: number, error: number) => ({
      device: ticksAt(ms),
      host: ms + error,
      errorMs: Math.abs(error),
    });
    const map = new ClockMap(reading(100, 0.2), reading(5100, -0.1));
    for (const ms of [100, 1234.5, 5100]) {
      assertAlmostEquals(map.toHost(ticksAt(ms)), ms, map.errorMs + 1e-6, `${tickMs} ms a tick`);
    }
    assertAlmostEquals(map.errorMs, 0.3, 0.1);
  }
});
