/**
 * Models whose parameters outgrow one buffer. Cut into arenas they must train exactly as in one piece, or the larger
 * presets would learn something else than the small ones.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { compileGraph, evaluate, LAVAPIPE } from "../../compiler/mod.ts";
import { PRESETS } from "../../model/config.ts";
import { arenaNames, layoutParameters } from "../../model/params.ts";
import { stepScalars } from "../../model/optimizer.ts";
import { traceInit, traceTrainStep } from "../../model/programs.ts";

const TINY = { layers: 2, width: 8, heads: 2, context: 4, vocabulary: 20 };
const SHAPE = { batch: 2, context: 4 };

Deno.test("arenas are cut between parameters, none is larger than allowed, and together they are the whole", () => {
  for (const config of Object.values(PRESETS)) {
    const { arenas, parameters, size } = layoutParameters(config);
    assertEquals(arenas[0].start, 0);
    assertEquals(arenas[arenas.length - 1].end, size);
    arenas.forEach(({ start, end }, i) => {
      assert((end - start) * 4 <= 2 ** 30);
      if (i > 0) assertEquals(start, arenas[i - 1].end);
      assert(parameters.some(({ offset }) => offset === start));
    });
  }
  assertEquals(arenaNames(layoutParameters(PRESETS.gpt2), "params"), ["params"]);
  assertEquals(arenaNames(layoutParameters(PRESETS["gpt2-large"]), "m").length, 3);
});

Deno.test("a step on arenas gives the loss, the norm and the parameters of a step on one flat tensor", () => {
  const whole = layoutParameters(TINY);
  const parts = layoutParameters(TINY, 400);
  assert(parts.arenas.length > 3);
  const scalars = Object.fromEntries(
    Object.entries(stepScalars(0, 0.01)).map(([name, value]) => [name, [value]]),
  );
  const values = Float32Array.from({ length: whole.size }, (_, i) => Math.sin(i * 12.9898) / 4);
  const zeros = new Float32Array(whole.size);
  const batch = { tokens: [1, 2, 3, 4, 5, 6, 7, 8], targets: [2, 3, 4, 5, 6, 7, 8, 9] };
  const state = (layout: typeof whole) =>
    Object.fromEntries(
      [["params", values], ["m", zeros], ["v", zeros]].flatMap(([kind, flat]) =>
        arenaNames(layout, kind as string).map((name, i) => {
          const { start, end } = layout.arenas[i];
          return [name, (flat as Float32Array).subarray(start, end)];
        })
      ),
    );
  const run = (layout: typeof whole) =>
    evaluate(traceTrainStep(TINY, SHAPE, layout), { ...state(layout), ...batch, ...scalars });
  const [one, many] = [run(whole), run(parts)];
  assertAlmostEquals(many.loss[0], one.loss[0], 1e-12);
  assertAlmostEquals(many.gradNorm[0], one.gradNorm[0], 1e-9);
  for (const kind of ["params", "m", "v"]) {
    const joined = arenaNames(parts, kind).flatMap((name) => [...many[name]]);
    joined.forEach((value, i) => assertAlmostEquals(value, one[kind][i], 1e-9, `${kind}[${i}]`));
  }
});

Deno.test("every preset has a plan on an adapter with 128 MiB bindings and 2 GiB buffers, forward and backward", () => {
  for (const [name, config] of Object.entries(PRESETS)) {
    for (const graph of [traceInit(config), traceTrainStep(config, { batch: 1, context: 64 })]) {
      const program = compileGraph(graph, LAVAPIPE, { name });
      for (const { ranges } of program.dispatches) {
        for (const { size } of ranges) assert(size <= LAVAPIPE.maxBindingBytes);
      }
      for (const { bytes } of program.buffers) assert(bytes <= LAVAPIPE.maxBufferBytes);
    }
  }
});
