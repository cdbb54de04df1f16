/**
 * Training with `--dtype f16` and `bf16`: it follows training in f32, loses no step to rounding, and passes over steps whose
 * gradients overflow without a trace in the weights.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { evaluate } from "../../compiler/mod.ts";
import type { Batch } from "../../data/mod.ts";
import { InputError } from "../../model/errors.ts";
import { Generator } from "../../model/generator.ts";
import { stepScalars } from "../../model/optimizer.ts";
import { arenaNames, layoutParameters, type ParameterLayout } from "../../model/params.ts";
import { LOSS_SCALING, requirePrecision } from "../../model/precision.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { planRun, type RunPlan, type TrainRequest } from "../../model/run_options.ts";
import { type StepFigures, TrainingSession } from "../../model/session.ts";
import { openDevice } from "../../runtime/mod.ts";
import { seededTokens } from "./seeded.ts";

const SMALL: TrainRequest = {
  out: "",
  preset: "nano",
  layers: 2,
  width: 32,
  heads: 2,
  context: 16,
  microBatch: 4,
  steps: 40,
  learningRate: 1e-2,
  seed: 7,
  dtype: "f16",
};

/** Sequences that count up, so that there is something to learn. */
function batchOf({ microBatch, model: { context } }: RunPlan, seed: number): Batch {
  const starts = seededTokens(seed, microBatch, 200);
  const tokens = Array.from(starts).flatMap((start) =>
    Array.from({ length: context + 1 }, (_, i) => start + i)
  );
  const cut = (from: number) =>
    Int32Array.from(
      Array.from({ length: microBatch }, (_, row) =>
        tokens.slice(row * (context + 1) + from, row * (context + 1) + from + context)).flat(),
    );
  return { tokens: cut(0), targets: cut(1) };
}

async function run(session: TrainingSession, first: number, end: number): Promise<StepFigures[]> {
  const { plan } = session;
  for (let step = first; step < end; step++) {
    session.step(
      step,
      Array.from({ length: plan.accumulation }, (_, part) => batchOf(plan, step * plan.accumulation + part)),
    );
  }
  return await session.drain();
}

/** A test with a device of its own; on an adapter without f16 there is nothing to test. */
function deviceTest(
  name: string,
  body: (open: (request: TrainRequest) => Promise<TrainingSession>) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const device = await openDevice();
    try {
      if (!device.capabilities.f16) return;
      await body((request) => TrainingSession.open(device, planRun(request, device.capabilities.software)));
    } finally {
      device.destroy();
    }
  });
}

const TINY = { layers: 2, width: 8, heads: 2, context: 4, vocabulary: 20 };

/** One training step in float64, with the casts of `dtype`, from parameters that are far from 0. */
function tinyStep(layout: ParameterLayout, dtype: "f32" | "f16", lossScale = 2 ** 10) {
  const names = (kind: string) => arenaNames(layout, kind);
  const state: Record<string, Float64Array> = {};
  layout.arenas.forEach(({ start, end }, i) => {
    state[names("params")[i]] = Float64Array.from(
      { length: end - start },
      (_, j) => Math.sin((start + j) * 12.9898) / 4,
    );
    for (const kind of ["m", "v"]) state[names(kind)[i]] = new Float64Array(end - start);
  });
  const scalars = Object.entries(stepScalars(0, 0.01)).map(([name, value]) => [name, [value]]);
  const graph = traceTrainStep(TINY, { batch: 2, context: 4 }, layout, dtype);
  const result = evaluate(graph, {
    ...state,
    ...Object.fromEntries(scalars),
    tokens: [1, 2, 3, 4, 5, 6, 7, 8],
    targets: [2, 3, 4, 5, 6, 7, 8, 9],
    lossScale: [lossScale],
    goodSteps: [0],
  });
  const joined = (kind: string) => names(kind).flatMap((name) => [...result[name]]);
  return { result, before: names("params").flatMap((name) => [...state[name]]), joined };
}

Deno.test("a step's loss and gradients in f16 are those in f32 to the rounding of f16, in one arena and in several", () => {
  const exact = tinyStep(layoutParameters(TINY), "f32");
  // After one step from zero the first moment is the clipped gradient times 1 - beta1.
  const expected = exact.joined("m");
  const norm = Math.hypot(...expected);
  for (const layout of [layoutParameters(TINY), layoutParameters(TINY, 400)]) {
    const half = tinyStep(layout, "f16");
    assertAlmostEquals(half.result.loss[0], exact.result.loss[0], 5e-4 * exact.result.loss[0]);
    assertAlmostEquals(half.result.gradNorm[0], exact.result.gradNorm[0], 5e-3 * exact.result.gradNorm[0]);
    const distance = Math.hypot(...half.joined("m").map((value, i) => value - expected[i]));
    assert(distance < 5e-3 * norm, `gradients are ${distance / norm} apart`);
    assert(distance > 1e-6 * norm, "nothing was rounded");
  }
});

Deno.test("the loss scale moves no gradient but those that f16 cannot hold without it", () => {
  const layout = layoutParameters(TINY);
  const moments = (scale: number) => tinyStep(layout, "f16", scale).joined("m");
  const expected = moments(2 ** 10);
  const largest = Math.max(...expected.map(Math.abs));
  moments(2 ** 6).forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-4 * largest));
  const lost = moments(2 ** -18).filter((value) => value === 0).length;
  assert(lost > expected.filter((value) => value === 0).length, "f16 had room for every gradient");
});

Deno.test("a step that overflows changes nothing but the loss scale", () => {
  const { before, joined, result } = tinyStep(layoutParameters(TINY), "f16", 2 ** 30);
  assert(!Number.isFinite(result.gradNorm[0]));
  assert(Number.isFinite(result.loss[0]));
  assertEquals(joined("params"), before);
  assert([...joined("m"), ...joined("v")].every((value) => value === 0));
  assertEquals([result.lossScale[0], result.goodSteps[0]], [2 ** 29, 0]);
});

/** How far the first gradient of a parameter may be from f32's, relative to its norm: a few roundings. */
const GRADIENT_TOLERANCE = { f16: 0.01, bf16: 0.06 };

deviceTest(
  "twenty steps of a narrow nano in f16 and bf16 follow those in f32 within a hundredth",
  async (openSession) => {
    const request: TrainRequest = { ...SMALL, width: 64, context: 64, learningRate: 1e-3 };
    const learn = async (dtype: "f32" | "f16" | "bf16") => {
      const session = await openSession({ ...request, dtype });
      await session.initialize();
      const figures = await run(session, 0, 1);
      const { m } = await session.snapshot();
      figures.push(...await run(session, 1, 20));
      assert(figures.every(({ gradNorm }) => Number.isFinite(gradNorm)));
      const losses = [
        ...figures.map(({ loss }) => loss),
        await session.validate([batchOf(session.plan, 99)]),
      ];
      return { losses, m };
    };
    const expected = await learn("f32");
    assert(expected.losses[19] < expected.losses[0] - 0.5, "nothing was learnt");
    const { parameters } = layoutParameters(planRun(request, true).model);
    for (const dtype of ["f16", "bf16"] as const) {
      const { losses, m } = await learn(dtype);
      losses.forEach((loss, i) =>
        assertAlmostEquals(loss, expected.losses[i], 0.01 * expected.losses[i], `step ${i + 1} in ${dtype}`)
      );
      assert(losses.some((loss, i) => loss !== expected.losses[i]), `${dtype} gave f32's losses to the bit`);
      // Every parameter's gradient, so that a wrong one among the small ones (biases) does not hide behind the others.
      for (const { name, offset, size } of parameters) {
        const one = expected.m.subarray(offset, offset + size);
        const distance = Math.hypot(...one.map((value, i) => value - m[offset + i]));
        const allowed = GRADIENT_TOLERANCE[dtype] * Math.hypot(...one) + 1e-6;
        assert(
          distance <= allowed,
          `${name}: the first gradient in ${dtype} is ${distance} apart, not ${allowed}`,
        );
      }
    }
  },
);

for (const accumulation of [1, 2]) {
  const what = accumulation === 1 ? "" : ", with accumulated micro batches";
  deviceTest(
    `a loss scale that is far too large costs steps, and then the run learns${what}`,
    async (openSession) => {
      const session = await openSession({ ...SMALL, batchTokens: 64 * accumulation });
      await session.initialize();
      const fresh = await session.snapshot();
      assertEquals(fresh.lossScale, Float32Array.of(LOSS_SCALING.initial));
      session.restore({ ...fresh, lossScale: Float32Array.of(2 ** 30), goodSteps: Float32Array.of(5) });

      const [first] = await run(session, 0, 1);
      assert(!Number.isFinite(first.gradNorm) && Number.isFinite(first.loss));
      const skipped = { ...fresh, lossScale: Float32Array.of(2 ** 29), goodSteps: Float32Array.of(0) };
      assertEquals(await session.snapshot(), skipped);

      const figures = await run(session, 1, 40);
      const isSkipped = ({ gradNorm }: StepFigures) => !Number.isFinite(gradNorm);
      const count = figures.filter(isSkipped).length;
      assert(count > 1 && count < 20, `${count} steps of 39 did not count`);
      assertEquals(figures[38].lossScale, 2 ** (29 - count));
      assert(figures[38].loss < first.loss - 0.5);
      assertEquals(
        (await session.snapshot()).goodSteps,
        Float32Array.of(38 - figures.findLastIndex(isSkipped)),
      );
    },
  );
}

deviceTest(
  "after enough good steps the loss scale doubles, and the count begins again",
  async (openSession) => {
    const session = await openSession(SMALL);
    await session.initialize();
    const fresh = await session.snapshot();
    const goodSteps = Float32Array.of(LOSS_SCALING.growthInterval - 2);
    session.restore({ ...fresh, lossScale: Float32Array.of(256), goodSteps });
    const figures = await run(session, 0, 3);
    assertEquals(figures.map(({ lossScale }) => lossScale), [256, 512, 512]);
    assertEquals((await session.snapshot()).goodSteps, Float32Array.of(1));
  },
);

deviceTest(
  "a run in f16 that goes on from saved values is one that never stopped, to the bit",
  async (openSession) => {
    for (const request of [SMALL, { ...SMALL, batchTokens: 128 }]) {
      const whole = await openSession(request);
      await whole.initialize();
      // So large that some steps before and after the pause do not count.
      whole.restore({ ...await whole.snapshot(), lossScale: Float32Array.of(2 ** 24) });
      const begun = await whole.snapshot();
      const expected = await run(whole, 0, 12);

      const first = await openSession(request);
      first.restore(begun);
      await run(first, 0, 2);
      const second = await openSession(request);
      second.restore(await first.snapshot());
      assertEquals(await run(second, 2, 12), expected.slice(2));
      assertEquals(await second.snapshot(), await whole.snapshot());
    }
  },
);

deviceTest("text can be drawn from a model that trains in f16", async (openSession) => {
  const session = await openSession({ ...SMALL, steps: 80 });
  await session.initialize();
  await run(session, 0, 80);
  const generator = await Generator.load(session.device, session.states, session.plan.model, {
    capacity: 64,
    mode: "fused",
  });
  const greedy = await generator.generate([65, 66, 67], 10, { temperature: 0, topK: 256, seed: 1 });
  assertEquals(greedy.length, 10);
});

deviceTest("a run in bf16 has no loss scale, and goes on to the bit", async (openSession) => {
  const request: TrainRequest = { ...SMALL, dtype: "bf16", batchTokens: 128 };
  const whole = await openSession(request);
  await whole.initialize();
  const begun = await whole.snapshot();
  assertEquals(Object.keys(begun), ["params", "m", "v"]);
  const expected = await run(whole, 0, 6);
  const first = await openSession(request);
  first.restore(begun);
  await run(first, 0, 2);
  const second = await openSession(request);
  second.restore(await first.snapshot());
  assertEquals(await run(second, 2, 6), expected.slice(2));
});

Deno.test("bf16 refuses heads that are no multiple of 4 channels, and names a width that is", () => {
  const refused = assertThrows(() => planRun({ ...SMALL, width: 36, dtype: "bf16" }, true), InputError);
  assertEquals(
    refused.message,
    "--dtype bf16 --width 36 --heads 2: bf16 needs heads of a multiple of 4 channels; " +
      "take --width 40, or another --dtype",
  );
});

Deno.test("an adapter without f16 refuses it in one line that says what to do, and nothing else", () => {
  const refused = assertThrows(() => requirePrecision("f16", { f16: false }, "SwiftShader"), InputError);
  assertEquals(
    refused.message,
    "--dtype f16: this adapter (SwiftShader) has no 16-bit floats (WebGPU's feature shader-f16); " +
      "take --dtype bf16 or f32 for a run on it",
  );
  requirePrecision("f16", { f16: true }, "llvmpipe");
  requirePrecision("f32", { f16: false }, "SwiftShader");
});
