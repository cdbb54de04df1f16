/**
 * Training on the device: it learns, it repeats itself to the bit, and accumulation is a larger batch.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluate } from "../../compiler/mod.ts";
import type { Batch } from "../../data/mod.ts";
import { Generator } from "../../model/generator.ts";
import { traceInit, traceLoss } from "../../model/programs.ts";
import { planRun, type RunPlan, type TrainRequest } from "../../model/run_options.ts";
import { type StepFigures, TrainingSession } from "../../model/session.ts";
import { randomKey } from "../../model/random_keys.ts";
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
};

function batchOf(plan: RunPlan, seed: number, sequences = plan.microBatch): Batch {
  const count = sequences * plan.model.context;
  const tokens = seededTokens(seed, count + 1, plan.model.vocabulary);
  return { tokens: tokens.slice(0, count), targets: tokens.slice(1) };
}

async function run(
  session: TrainingSession,
  first: number,
  end: number,
  batches = (step: number): Batch[] => [batchOf(session.plan, step)],
): Promise<StepFigures[]> {
  for (let step = first; step < end; step++) session.step(step, batches(step));
  return await session.drain();
}

/** A test with a device of its own: an error on one must not fail the others. */
function deviceTest(
  name: string,
  body: (open: (request: TrainRequest) => Promise<TrainingSession>) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const device = await openDevice();
    try {
      await body((request) => TrainingSession.open(device, planRun(request, device.capabilities.software)));
    } finally {
      device.destroy();
    }
  });
}

deviceTest("one batch can be learnt by heart", async (openSession) => {
  const session = await openSession({ ...SMALL, steps: 120 });
  await session.initialize();
  const batch = batchOf(session.plan, 1);
  const figures = await run(session, 0, 120, () => [batch]);
  assertAlmostEquals(figures[0].loss, Math.log(256), 0.2);
  assert(figures[119].loss < 0.1, `loss ${figures[119].loss} after 120 steps`);
  assertAlmostEquals(await session.validate([batch]), figures[119].loss, 0.05);
});

for (const mode of ["fused", "eager"] as const) {
  deviceTest(`the first loss in ${mode} mode is the one that float64 gives`, async (openSession) => {
    const session = await openSession({ ...SMALL, mode });
    await session.initialize();
    const { params } = await session.snapshot();
    const batch = batchOf(session.plan, 3);
    const [{ loss }] = await run(session, 0, 1, () => [batch]);
    const graph = traceLoss(session.plan.model, { batch: 4, context: 16 });
    const expected = evaluate(graph, { params, tokens: batch.tokens, targets: batch.targets }).loss[0];
    assertAlmostEquals(loss, expected, 1e-5);
  });
}

deviceTest("fresh parameters on the device are the reference's", async (openSession) => {
  const session = await openSession(SMALL);
  await session.initialize();
  const { params, m, v } = await session.snapshot();
  const graph = traceInit(session.plan.model);
  const expected = evaluate(graph, { params, m, v, key: [randomKey(7, "weights")] });
  expected.params.forEach((value, i) => assertAlmostEquals(params[i], value, 2e-6, `parameter ${i}`));
  assert(m.every((x) => x === 0) && v.every((x) => x === 0));
});

deviceTest(
  "a run that goes on from saved values gives the losses of one that never stopped, to the bit",
  async (openSession) => {
    for (const request of [SMALL, { ...SMALL, batchTokens: 128 }]) {
      const batches = (step: number) =>
        Array.from(
          { length: request === SMALL ? 1 : 2 },
          (_, part) => batchOf(planRun(SMALL, true), 2 * step + part),
        );
      const whole = await openSession(request);
      await whole.initialize();
      const expected = await run(whole, 0, 12, batches);

      const first = await openSession(request);
      await first.initialize();
      await run(first, 0, 5, batches);
      const saved = await first.snapshot();
      const second = await openSession(request);
      second.restore(saved);
      assertEquals(await run(second, 5, 12, batches), expected.slice(5));
      assertEquals(await second.snapshot(), await whole.snapshot());
    }
  },
);

deviceTest("accumulated micro batches train as one large batch does", async (openSession) => {
  const large = await openSession({ ...SMALL, microBatch: 8 });
  const small = await openSession({ ...SMALL, microBatch: 4, batchTokens: 128 });
  await large.initialize();
  await small.initialize();
  const halves = (step: number) => [batchOf(small.plan, 2 * step), batchOf(small.plan, 2 * step + 1)];
  const join = (key: keyof Batch, parts: Batch[]) => Int32Array.from(parts.flatMap((part) => [...part[key]]));
  const expected = await run(large, 0, 4, (step) => {
    const parts = halves(step);
    return [{ tokens: join("tokens", parts), targets: join("targets", parts) }];
  });
  const actual = await run(small, 0, 4, halves);
  actual.forEach(({ loss, gradNorm }, step) => {
    assertAlmostEquals(loss, expected[step].loss, 1e-4, `loss of step ${step}`);
    assertAlmostEquals(gradNorm, expected[step].gradNorm, 1e-3, `norm of step ${step}`);
  });
});

deviceTest(
  "the same seed draws the same text, whatever the size of the chunks it is read in",
  async (openSession) => {
    const session = await openSession(SMALL);
    await session.initialize();
    const options = { temperature: 1, topK: 256, seed: 5 };
    const generator = await Generator.load(session.device, session.states, session.plan.model, {
      capacity: 64,
      mode: "fused",
    });
    const chunks: number[] = [];
    const first = await generator.generate([72, 105], 40, options, (tokens) => chunks.push(...tokens));
    assertEquals(Int32Array.from(chunks), first);
    assertEquals(await generator.generate([72, 105], 40, options), first);
    // A text that goes on from its own beginning is the same text, also past the context of 16 tokens.
    assertEquals(await generator.generate([72, 105, ...first.slice(0, 20)], 20, options), first.slice(20));
    const other = await generator.generate([72, 105], 40, { ...options, seed: 6 });
    assert(other.some((token, i) => token !== first[i]));
  },
);

deviceTest("greedy text follows a model that has learnt one sequence by heart", async (openSession) => {
  const session = await openSession({ ...SMALL, steps: 120 });
  await session.initialize();
  const cycle = Int32Array.from({ length: 65 }, (_, i) => 65 + i % 5);
  const batch = { tokens: cycle.slice(0, 64), targets: cycle.slice(1) };
  await run(session, 0, 60, () => [batch]);
  const generator = await Generator.load(session.device, session.states, session.plan.model, {
    capacity: 64,
    mode: "fused",
  });
  const greedy = await generator.generate([65, 66, 67], 30, { temperature: 0, topK: 256, seed: 1 });
  assertEquals([...greedy], Array.from({ length: 30 }, (_, i) => 65 + (i + 3) % 5));
});
