/** The pure parts of `deno task bench server`. */
import { assertEquals, assertMatch } from "@std/assert";
import { percentile, sseData } from "../../bench/server/client.ts";
import { describe } from "../../bench/server/main.ts";
import { isReached } from "../../bench/server/measures.ts";

Deno.test("a percentile is a value that was seen, by nearest rank", () => {
  const values = [5, 1, 4, 2, 3];
  assertEquals([0, 0.2, 0.5, 0.99, 1].map((share) => percentile(values, share)), [1, 1, 3, 5, 5]);
  assertEquals(percentile([], 0.5), NaN);
});

Deno.test("events are read whole wherever the stream is cut", async () => {
  const text = 'event: token\ndata: {"text":"\u{1f40b}"}\n\n: still here\n\ndata: [DONE]\n\n';
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    const events = await Array.fromAsync(sseData(ReadableStream.from(pieces)));
    assertEquals(events, [
      { event: "token", data: '{"text":"\u{1f40b}"}' },
      { event: "message", data: "[DONE]" },
    ], `pieces of ${size}`);
  }
});

Deno.test("a target is a bound from above unless it says otherwise, and its line says what became of it", () => {
  const measure = { name: "gap", value: 7, unit: "ms" };
  assertEquals(isReached(measure), undefined);
  assertEquals(isReached({ ...measure, target: 6 }), false);
  assertEquals(isReached({ ...measure, target: 6, atLeast: true }), true);
  assertMatch(describe({ ...measure, target: 6 }), /gap +7 ms +\(MISSED: at most 6\)/);
  assertMatch(describe({ ...measure, target: 6, atLeast: true }), /reached: at least 6/);
});
