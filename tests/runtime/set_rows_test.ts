/** `setRows` on a device: rows written in place, everything else left alone. */
import { assertEquals, assertThrows } from "@std/assert";
import { compileGraph, evaluate, LAVAPIPE, trace } from "../../compiler/mod.ts";
import { GraphError } from "../../compiler/errors.ts";
import { withDevice } from "./support.ts";
import { runGraph } from "./run_graph.ts";
import { Prng } from "../support/prng.ts";

/** Writes rows into a table and reads the whole table in the same program. */
function tableGraph(rows: number, width: readonly number[], count: number) {
  return trace(({ table, indices, update }) => {
    const next = table.setRows(indices, update.mul(2));
    return {
      table: next,
      total: next.reshape([rows, width.reduce((a: number, b: number) => a * b, 1)]).sum([0]),
    };
  }, {
    table: { shape: [rows, ...width], dtype: "f32", role: "state" },
    indices: { shape: [count], dtype: "i32", role: "batch" },
    update: { shape: [count, ...width], dtype: "f32", role: "batch" },
  }, { donates: { table: "table" } });
}

for (const [name, width] of [["scalars", []], ["odd rows", [3]], ["whole vec4s", [2, 8]]] as const) {
  Deno.test(`setRows writes rows of ${name} and leaves the others, in every mode`, async () => {
    const random = new Prng(7);
    const [rows, count] = [11, 5];
    const graph = tableGraph(rows, width, count);
    const size = width.reduce((a: number, b: number) => a * b, 1);
    const uniform = (n: number) => Float32Array.from({ length: n }, () => 2 * random.uniform() - 1);
    const inputs = {
      table: uniform(rows * size),
      indices: Int32Array.of(3, -1, 10, 11, 0),
      update: uniform(count * size),
    };
    const expected = evaluate(graph, inputs);
    await withDevice(async (device) => {
      for (const mode of ["fused", "eager"] as const) {
        const program = compileGraph(graph, device.capabilities, { mode });
        const actual = await runGraph(device, graph, program, inputs);
        assertEquals(Array.from(actual.table), Array.from(expected.table, Math.fround), `${mode}: table`);
        const difference = Array.from(
          actual.total,
          (value, i) => Math.abs(Number(value) - expected.total[i]),
        );
        assertEquals(difference.every((d) => d < 1e-5), true, `${mode}: a sum over the table reads old rows`);
      }
    });
  });
}

Deno.test("setRows that could not work in place is refused, not computed wrongly", () => {
  const specs = {
    table: { shape: [4, 4], dtype: "f32", role: "state" },
    indices: { shape: [1], dtype: "i32", role: "batch" },
    update: { shape: [1, 4], dtype: "f32", role: "batch" },
  } as const;
  const copied = trace(({ table, indices, update }) => ({ out: table.setRows(indices, update) }), specs);
  assertThrows(() => compileGraph(copied, LAVAPIPE), GraphError, "in place");
  const late = trace(
    ({ table, indices, update }) => {
      const next = table.setRows(indices, update);
      return { table: next, old: table.mul(next.sum([0, 1])) };
    },
    specs,
    { donates: { table: "table" } },
  );
  assertThrows(() => compileGraph(late, LAVAPIPE), GraphError, "in place");
});
