/** The report of a compilation against the program and what the inspector prints. */
import { assert, assertEquals } from "@std/assert";
import { compileStages, explain, LAVAPIPE, reportOf, STAGES } from "../../compiler/mod.ts";
import { tinyTrainStep } from "../support/tiny_gpt2.ts";

const compilation = compileStages(tinyTrainStep(), LAVAPIPE, { name: "step" });
const { program } = compilation;
const report = reportOf(compilation);

Deno.test("a report has the program's launches, and every one names a kernel and a group that are there", () => {
  assertEquals(report.hash, program.hash);
  assertEquals(report.dispatches.length, program.dispatches.length);
  const groups = new Set(report.groups.map(({ id }) => id));
  report.dispatches.forEach(({ kernel, group, bytes, reads, writes }, i) => {
    assert(report.kernels[kernel].wgsl.length > 0);
    assert(group === -1 || groups.has(group), `launch ${i} names group ${group}`);
    assertEquals(bytes, program.dispatches[i].bytes);
    assert(writes.length > 0, `launch ${i} writes nothing`);
    for (const { buffer, offset, size } of [...reads, ...writes]) {
      assert(
        offset + size <= Math.ceil(report.buffers[buffer].bytes / 16) * 16,
        `launch ${i} leaves a buffer`,
      );
    }
  });
});

Deno.test("a launch that writes what a later one reads comes before it", () => {
  const overlap = (a: { buffer: number; offset: number; size: number }, b: typeof a) =>
    a.buffer === b.buffer && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
  const arena = new Set(report.buffers.flatMap(({ kind }, i) => kind === "arena" ? [i] : []));
  report.dispatches.forEach(({ reads }, i) => {
    for (const range of reads.filter(({ buffer }) => arena.has(buffer))) {
      const isWritten = report.dispatches.slice(0, i).some(({ writes }) =>
        writes.some((other) => overlap(other, range))
      );
      assert(isWritten, `launch ${i} reads ${JSON.stringify(range)}, which nothing has written`);
    }
  });
});

Deno.test("a launch that updates a range in place reads it too", () => {
  const inPlace = report.dispatches.filter(({ reads, writes }) =>
    writes.some(({ buffer, offset }) =>
      reads.some((read) => read.buffer === buffer && read.offset === offset)
    )
  );
  const weights = report.buffers.findIndex(({ name }) => name === "params");
  assert(
    inPlace.some(({ writes }) => writes.some(({ buffer }) => buffer === weights)),
    "AdamW reads no weights",
  );
});

Deno.test("stages are the inspector's own texts", () => {
  for (const stage of STAGES) {
    if (stage in report.stages) assertEquals(report.stages[stage], explain(compilation, stage), stage);
  }
  assertEquals(Object.keys(report.stages), ["graph", "joint", "simplified", "groups", "plan", "recompute"]);
});

Deno.test("a report is plain data, and says where its groups come from", () => {
  assertEquals(JSON.parse(JSON.stringify(report)), report);
  assert(report.groups.some(({ scopes }) => scopes.some((scope) => scope.startsWith("h.0."))));
  assert(report.groups.some(({ reasons }) => reasons.length > 0));
});
