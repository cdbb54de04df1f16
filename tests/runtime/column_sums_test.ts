/**
 * Column sums as by-products of products, as every family of templates computes them, at sizes around the tiles' edges.
 */
import { assert, assertEquals } from "@std/assert";
import { BASELINE, type Capabilities, compileGraph, evaluate, trace } from "../../compiler/mod.ts";
import type { GpuDevice } from "../../runtime/mod.ts";
import { withDevice } from "./support.ts";

/** Rows, columns and depth of x^T g. */
const SIZES = [[64, 64, 64], [70, 130, 37], [3, 5, 2], [129, 66, 300]] as const;

const families = (device: GpuDevice): Record<string, Capabilities> => ({
  "this adapter": device.capabilities,
  "an adapter without subgroups": { ...device.capabilities, subgroupSize: 0 },
  "a GPU": { ...BASELINE, bindingAlignment: device.capabilities.bindingAlignment },
});

/** Numbers in -1..1 that differ from place to place. */
function numbers(count: number, salt: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919 + salt * 104_729) % 2003) / 1001.5 - 1);
}

for (const family of ["this adapter", "an adapter without subgroups", "a GPU"]) {
  Deno.test(`a product on ${family} computes the column sums of its right operand beside itself`, async () => {
    await withDevice(async (device) => {
      const states = device.createStates();
      for (const [rows, cols, depth] of SIZES) {
        const graph = trace(({ x, g }) => ({
          weight: x.matmul(g, { transA: true }),
          bias: g.sum([0]),
        }), {
          x: { shape: [depth, rows], dtype: "f32", role: "batch" },
          g: { shape: [depth, cols], dtype: "f32", role: "batch" },
        });
        const program = compileGraph(graph, families(device)[family]);
        assertEquals(program.dispatches.length, 1, "the sums are no kernel of their own");
        const batch = { x: numbers(depth * rows, 1), g: numbers(depth * cols, 2) };
        const loaded = await device.load(program, states);
        loaded.run({ batch });
        const expected = evaluate(graph, batch);
        for (const name of ["weight", "bias"]) {
          const actual = await loaded.read(name);
          expected[name].forEach((value, i) => {
            const error = Math.abs(actual[i] - value);
            assert(
              error <= 1e-6 * depth,
              `${rows}x${cols}x${depth} ${name}[${i}]: ${actual[i]}, not ${value}`,
            );
          });
        }
        loaded.destroy();
      }
      states.destroy();
    });
  });
}
