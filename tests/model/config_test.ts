/**
 * Presets, plans and the learning-rate schedule: numbers that a user sees and that published models fix.
 *
 * @module
 */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { paddedVocabulary, PRESETS, resolveConfig } from "../../model/config.ts";
import { InputError } from "../../model/errors.ts";
import { planRun, tokensPerStep } from "../../model/run_options.ts";
import { checkSchedule, learningRate, type ScheduleChoice, scheduleFor } from "../../model/schedule.ts";

Deno.test("vocabularies are padded to a multiple of 64 and no further", () => {
  assertEquals(paddedVocabulary(PRESETS.gpt2), 50_304);
  assertEquals(paddedVocabulary(PRESETS.nano), 256);
});

Deno.test("sizes that make no model are refused by the flag's name", () => {
  const problem = assertThrows(() => resolveConfig("nano", { heads: 5 }), InputError);
  assertEquals(
    problem.message,
    "--width 128 --heads 5: the heads do not divide the width; for 5 heads take --width 130",
  );
  assertThrows(() => resolveConfig("gpt2", { context: 1025 }), InputError, "--context 1025");
  assertThrows(() => resolveConfig("nano", { layers: 0 }), InputError, "--layers 0");
  assertThrows(() => resolveConfig("nano", { width: 1.5 }), InputError, "--width 1.5");
});

Deno.test("the preset follows the adapter and the tokenizer follows the preset", () => {
  assertEquals(planRun({ out: "x" }, true).preset, "nano");
  assertEquals(planRun({ out: "x" }, true).tokenizer, "bytes");
  assertEquals(planRun({ out: "x" }, false).preset, "gpt2");
  assertEquals(planRun({ out: "x" }, false).tokenizer, "gpt2");
  assertEquals(planRun({ out: "x", preset: "nano", tokenizer: "gpt2" }, true).model.vocabulary, 50_257);
});

Deno.test("a token budget becomes micro steps, or an error that names the nearest budget that fits", () => {
  const request = { out: "x", preset: "gpt2", microBatch: 4, batchTokens: 524_288 } as const;
  const plan = planRun(request, false);
  assertEquals(plan.accumulation, 128);
  assertEquals(tokensPerStep(plan), 524_288);
  const problem = assertThrows(() => planRun({ ...request, batchTokens: 10_000 }, false), InputError);
  assertEquals(
    problem.message,
    "--batch-tokens 10000: not a multiple of --micro-batch 4 x --context 1024 = 4096 tokens; " +
      "take --batch-tokens 8192, or another --micro-batch",
  );
});

Deno.test("the learning rate warms up to its peak and falls along a cosine to a tenth", () => {
  const schedule = scheduleFor(6e-4, 19_073);
  assertEquals(schedule.warmup, 715);
  assertAlmostEquals(learningRate(schedule, 0), 6e-4 / 715, 1e-15);
  assertAlmostEquals(learningRate(schedule, 714), 6e-4, 1e-15);
  assertAlmostEquals(learningRate(schedule, 715), 6e-4, 1e-15);
  assertAlmostEquals(learningRate(schedule, 715 + (19_073 - 715) / 2), (6e-4 + 6e-5) / 2, 1e-12);
  assertEquals(learningRate(schedule, 19_073), schedule.floor);
  for (let step = 715; step < 19_073; step += 97) {
    const [now, next] = [learningRate(schedule, step), learningRate(schedule, step + 1)];
    assertEquals(next < now, true, `step ${step}`);
  }
});

Deno.test("a run of one step has a learning rate", () => {
  assertEquals(learningRate(scheduleFor(1e-3, 1), 0), 1e-3);
});

Deno.test("a chosen schedule warms up as long as it was told and goes its way to its floor", () => {
  const rates = (choice: ScheduleChoice) => {
    const schedule = scheduleFor(1, 6, choice);
    return Array.from({ length: 7 }, (_, step) => Number(learningRate(schedule, step).toFixed(3)));
  };
  assertEquals(rates({ shape: "linear", warmup: 2, floor: 0 }), [0.5, 1, 1, 0.75, 0.5, 0.25, 0]);
  assertEquals(rates({ shape: "constant", warmup: 0 }), [1, 1, 1, 1, 1, 1, 1]);
  assertEquals(rates({ warmup: 0, floor: 0.5 }), [1, 0.967, 0.875, 0.75, 0.625, 0.533, 0.5]);
  assertThrows(() => checkSchedule(1, 6, { warmup: 7 }), InputError, "--warmup 7");
  assertThrows(() => checkSchedule(1, 6, { floor: 2 }), InputError, "--min-lr 2");
  assertThrows(() => checkSchedule(1, 6, { shape: "constant", floor: 0.1 }), InputError, "does not fall");
});
