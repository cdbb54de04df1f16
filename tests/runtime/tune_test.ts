/**
 * Tuning on the adapter: what it measures are the program's own kernels, and what it finds changes results by rounding
 * alone.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { compileStages, type Schedule, type Tensor, trace, type Tunable } from "../../compiler/mod.ts";
import { openDevice } from "../../runtime/mod.ts";
import { tune } from "../../runtime/tune.ts";
import { TuningCache } from "../../runtime/tune_cache.ts";
import { KernelBench } from "../../runtime/tune_kernel.ts";
import { searchSchedules } from "../../runtime/tune_search.ts";
import { seededUniform } from "../model/seeded.ts";

function seededValues(seed: number, count: number): Float32Array {
  const next = seededUniform(seed);
  return Float32Array.from({ length: count }, () => 2 * next() - 1);
}

const SIZES = { m: 96, n: 64, k: 48 };

/** A product with a prologue and an epilogue of its own. */
function graphOf() {
  const { m, n, k } = SIZES;
  const f32 = (...shape: number[]) => ({ shape, dtype: "f32", role: "batch" } as const);
  return trace(({ a, b, bias }: Record<string, Tensor>) => ({ y: a.mul(2).matmul(b).add(bias).gelu() }), {
    a: f32(m, k),
    b: f32(k, n),
    bias: f32(n),
  });
}

Deno.test("a tuned program computes what the untuned one does, up to rounding, and says what it uses", async () => {
  const device = await openDevice();
  try {
    const graph = graphOf();
    const compilation = compileStages(graph, device.capabilities);
    const cache = TuningCache.inMemory();
    const warnings: string[] = [];
    const warn = (line: string) => void warnings.push(line);
    const report = await tune(device, [{ compilation, runs: 1 }], { cache, budgetMs: 1000, warn });
    assertEquals(warnings, [], "every candidate of a product is right");
    assertEquals(report.kernels, 1);
    const [{ key, preferred, candidates, nameOf }] = compilation.tunables;
    assert(cache.get(key), "the kernel is known now, whether or not something won");

    // Whatever won here, another schedule than the template's own must give the same.
    const other = candidates().find((candidate) => nameOf(candidate) !== nameOf(preferred))!;
    const tuned = compileStages(graph, device.capabilities, {
      schedules: (k) => k === key ? other : undefined,
    });
    assertEquals(tuned.program.kernels[0].template?.schedule, other);
    assertEquals(tuned.program.kernels[0].template?.tuned, true);
    assert(tuned.program.kernels[0].ir.includes(`schedule ${nameOf(other)}`));
    assertNotEquals(tuned.program.hash, compilation.program.hash);
    const batch = {
      a: seededValues(1, SIZES.m * SIZES.k),
      b: seededValues(2, SIZES.k * SIZES.n),
      bias: seededValues(3, SIZES.n),
    };
    const results: number[][] = [];
    for (const { program } of [compilation, tuned]) {
      const loaded = await device.load(program, device.createStates());
      loaded.run({ batch });
      results.push(Array.from(await loaded.read("y")));
    }
    results[0].forEach((value, i) => assertAlmostEquals(value, results[1][i], 1e-4));

    const again = await tune(device, [{ compilation, runs: 1 }], { cache });
    assertEquals(again.kernels, 0, "what is known is not measured again");
  } finally {
    device.destroy();
  }
});

Deno.test("a kernel that computes something else is rejected, with the element", async () => {
  const device = await openDevice();
  try {
    const { tunables: [tunable], program } = compileStages(graphOf(), device.capabilities);
    const wrong = tunable.candidates()[1];
    const faulty: Tunable = {
      ...tunable,
      variant: (schedule) => {
        const { source, workgroups } = tunable.variant(schedule);
        if (schedule !== wrong) return { source, workgroups };
        return { source: { ...source, wgsl: source.wgsl.replace("2.0", "2.001") }, workgroups };
      },
    };
    assertNotEquals(faulty.variant(wrong).source.wgsl, tunable.variant(wrong).source.wgsl);
    const bench = KernelBench.open(device, faulty, program.dispatches[0]);
    const compare = (challenger: Schedule, best: Schedule) => bench.compare(challenger, best);
    const found = await searchSchedules({
      candidates: [tunable.preferred, wrong],
      compare,
      mayGoOn: () => true,
    });
    bench.close();
    assertEquals(found.best, tunable.preferred);
    assertEquals(found.rejected.length, 1);
    assert(/^element \d+ is /.test(found.rejected[0].reason), found.rejected[0].reason);
  } finally {
    device.destroy();
  }
});

Deno.test("loops give the same under all of their schedules, those of GPUs included", async () => {
  const device = await openDevice();
  try {
    const x = { shape: [24, 256], dtype: "f32", role: "batch" } as const;
    const graph = trace(({ x }: Record<string, Tensor>) => ({
      rows: x.softmax(),
      columns: x.sum([0]),
      first: x.argmax(1),
      each: x.gelu(),
    }), { x });
    const kinds = new Set<string>();
    for (const software of [true, false]) {
      const { tunables, program } = compileStages(graph, { ...device.capabilities, software });
      for (const tunable of tunables) {
        const dispatch = program.dispatches.find(({ kernel }) => kernel === tunable.kernel)!;
        const bench = KernelBench.open(device, tunable, dispatch);
        for (const candidate of tunable.candidates().slice(1)) {
          kinds.add(candidate.kind);
          const verdict = await bench.compare(candidate, tunable.preferred);
          assertEquals(verdict.kind, "timed", `${tunable.nameOf(candidate)}: ${JSON.stringify(verdict)}`);
        }
        bench.close();
      }
    }
    assertEquals(kinds, new Set(["invocation", "workgroup"]));
  } finally {
    device.destroy();
  }
});

Deno.test("a stored schedule that the template does not offer is ignored", async () => {
  const device = await openDevice();
  try {
    const foreign = { kind: "subgroup", lanes: 3, perLane: 5 } as Schedule;
    const { program } = compileStages(graphOf(), device.capabilities, { schedules: () => foreign });
    assertEquals(program.kernels[0].template?.tuned, false);
  } finally {
    device.destroy();
  }
});
