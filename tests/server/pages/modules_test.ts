/**
 * What the pages compute, without a browser.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Series } from "../../../server/pages/browser/dashboard/series.js";
import { layOut, NODE } from "../../../server/pages/browser/programs/layout.js";
import { bandsOf, launchesOf } from "../../../server/pages/browser/programs/report.js";
import { eventsOf } from "../../../server/pages/browser/shared/event_stream.js";
import { bytes, duration, figure, percent, short } from "../../../server/pages/browser/shared/format.js";
import { figuresOf } from "../../../server/pages/browser/shared/prometheus.js";
import type { ProgramReport } from "../../../server/pages/browser/wire.d.ts";
import { CompiledPrograms } from "./compiled_programs.ts";

/** A response whose body comes in these pieces. */
function inPieces(...pieces: readonly Uint8Array<ArrayBuffer>[]): Response {
  return new Response(ReadableStream.from(pieces));
}

Deno.test("events are read the same wherever their bytes are cut", async () => {
  const text = ': hello\r\nretry: 2000\r\n\r\nid: 7\nevent: step\ndata: {"ü":1}\ndata:two\n\n' +
    "data: after\r\rid: 8\ndata\n\ndata: unfinished\n";
  const expected = [
    { id: "7", event: "step", data: '{"ü":1}\ntwo' },
    { id: "7", event: "message", data: "after" },
    { id: "8", event: "message", data: "" },
  ];
  const all = new TextEncoder().encode(text);
  for (let at = 0; at <= all.length; at++) {
    const events = await Array.fromAsync(eventsOf(inPieces(all.slice(0, at), all.slice(at))));
    assertEquals(events, expected, `cut at ${at}`);
  }
  const single = Array.from(all, (byte) => Uint8Array.of(byte));
  assertEquals(await Array.fromAsync(eventsOf(inPieces(...single))), expected);
});

Deno.test("a step that was computed again replaces its old figures, and order is kept", () => {
  const series = new Series();
  const add = (step: number, loss: number | null) =>
    series.add({ step, loss, learningRate: 1, gradNorm: null, tokensPerSecond: 2, ms: 3 });
  for (const step of [1, 2, 3, 5]) add(step, step);
  series.addValidation(3, 30);
  add(3, 33);
  add(4, null);
  assertEquals(series.steps, [1, 2, 3, 4, 5]);
  assertEquals(series.columns.loss, [1, 2, 33, null, 5]);
  assertEquals(series.columns.validationLoss, [null, null, 30, null, null]);
  assertEquals(series.newest("validationLoss"), 30);
  assertEquals(series.newest("gradNorm"), null);
});

Deno.test("a launch reads from the newest one that wrote there, not from those before", () => {
  const range = (offset: number, size = 4) => ({ buffer: 0, offset, size });
  const dispatch = { kernel: 0, group: 0, bytes: 8, flops: 0, workgroups: [1, 1, 1] };
  const launches = launchesOf({
    hash: "",
    name: "",
    stages: {},
    groups: [],
    kernels: [{ name: "k", ir: "", wgsl: "", workgroupSize: [1, 1, 1] }],
    dispatches: [
      { ...dispatch, reads: [], writes: [range(0)] },
      { ...dispatch, reads: [], writes: [range(4)] },
      { ...dispatch, reads: [range(0)], writes: [range(0)] },
      { ...dispatch, reads: [range(0, 8)], writes: [range(8)] },
    ],
  });
  assertEquals(launches.map(({ inputs }) => inputs), [[], [], [0], [1, 2]]);
  assertEquals(launches.map(({ outputs }) => outputs), [[2], [3], [3], []]);
});

Deno.test("no two kernels of a drawing overlap, and each is below those of its band that it reads from", async () => {
  const programs = new CompiledPrograms();
  const [{ hash }] = await programs.list();
  const packed = new Blob([(await programs.get(hash))!]).stream().pipeThrough(
    new DecompressionStream("gzip"),
  );
  const report: ProgramReport = await new Response(packed).json();
  const launches = launchesOf(report);
  const bands = bandsOf(launches, report);
  const { places, width, height } = layOut(bands);
  assert(launches.filter(({ inputs }) => inputs.length > 0).length > launches.length / 2);
  assertEquals(
    bands.flatMap((band) => band.launches.map(({ index }) => index)),
    launches.map(({ index }) => index),
  );
  assertEquals(new Set(places.map(({ x, y }) => `${x} ${y}`)).size, launches.length);
  for (const { x, y } of places) {
    assert(x >= 0 && x + NODE.width <= width && y >= 0 && y + NODE.height <= height);
  }
  for (const band of bands) {
    const members = new Set(band.launches.map(({ index }) => index));
    for (const { index, inputs } of band.launches) {
      for (const input of inputs.filter((input) => members.has(input))) {
        assert(places[input].y + NODE.height < places[index].y, `${index} is not below ${input}`);
      }
    }
  }
});

Deno.test("numbers are short and say their unit", () => {
  assertEquals([figure(3.14159), figure(0), figure(2e-5), figure(null), figure(Infinity)], [
    "3.142",
    "0",
    "2.00e-5",
    "–",
    "–",
  ]);
  assertEquals([short(950), short(12_345), bytes(1536), bytes(0)], ["950", "12.3k", "1.5 KiB", "0 B"]);
  assertEquals([duration(0.5), duration(59_999), duration(200_000), duration(7_500_000)], [
    "500 µs",
    "60 s",
    "3 min 20 s",
    "2 h 5 min",
  ]);
  assertEquals(percent(0.1234), "12.3 %");
});

Deno.test("figures are read from Prometheus' text by name and labels", () => {
  const figures = figuresOf('# HELP a b\n# TYPE a gauge\na 3\nb{user="x y"} 1e3\n');
  assertEquals([...figures], [["a", 3], ['b{user="x y"}', 1000]]);
});
