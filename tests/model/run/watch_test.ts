/**
 * What a run's validations lead to: the alarm of a run that is behind, and the end of one that gets no better.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { InputError } from "../../../model/errors.ts";
import { planRun } from "../../../model/run_options.ts";
import { EarlyStop } from "../../../model/run/early_stop.ts";
import {
  lossAfter,
  REFERENCE_NAMES,
  referenceFor,
  referenceNamed,
} from "../../../model/run/reference_curves.ts";
import { alarmText, ReferenceWatch } from "../../../model/run/reference_watch.ts";

const STEP = 524_288;

/** Validation losses by step of build-nanogpt's pull request 30: a run that failed for days before anyone noticed. */
const BROKEN = [[250, 6.43], [1000, 4.8797], [1250, 4.5877], [2500, 4.125]];

Deno.test("the reproduction that failed unnoticed is told so on its first day", () => {
  const watch = new ReferenceWatch(referenceNamed("fineweb-edu-124M"));
  const alarms = BROKEN.flatMap(([step, loss]) => watch.check(step * STEP, loss) ? [step] : []);
  assertEquals(alarms[0], 1000, "of 19,073 steps");
});

Deno.test("runs like the published ones raise no alarm, nor do single bad validations", () => {
  for (const name of REFERENCE_NAMES) {
    const curve = referenceNamed(name);
    const watch = new ReferenceWatch(curve);
    for (const [index, [tokens, loss]] of curve.points.entries()) {
      const noise = index % 3 === 0 ? 0.3 : 0.05;
      assertEquals(watch.check(tokens, loss + noise), undefined, `${name} at ${tokens}`);
    }
  }
});

Deno.test("an alarm is repeated only now and then, and again after the run had caught up", () => {
  const watch = new ReferenceWatch({ name: "x", source: "y", points: [[1e6, 4], [1e9, 4]] });
  const alarms = (tokens: number[], loss: number) => tokens.filter((at) => watch.check(at * 1e6, loss));
  assertEquals(alarms([10, 11, 12, 15, 16, 17, 30], 4.3), [11, 17, 30]);
  assertEquals(alarms([31], 4.1), []);
  assertEquals(alarms([32], 4.7), [32], "far behind: at once");
});

Deno.test("a loss that is no number counts as behind", () => {
  const watch = new ReferenceWatch({ name: "x", source: "y", points: [[1e6, 4], [1e9, 4]] });
  assert(watch.check(2e6, NaN));
});

Deno.test("between two points the reference is on the line in the logarithm of tokens, outside there is none", () => {
  const points = [[100, 6], [400, 4]] as const;
  assertEquals([50, 100, 400, 401].map((tokens) => lossAfter(points, tokens)), [undefined, 6, 4, undefined]);
  assertAlmostEquals(lossAfter(points, 200)!, 5, 1e-12);
});

Deno.test("the alarm says how far behind, behind what, and what to look at", () => {
  const curve = { name: "fineweb", source: "llm.c", points: [] };
  const text = alarmText({ tokens: 655_360_000, loss: 4.5877, reference: 3.9518 }, curve);
  assertEquals(
    text.split(": something")[0],
    "ALARM: after 655 million tokens the validation loss is 4.588, 0.64 above the 3.952 of fineweb (llm.c)",
  );
});

Deno.test("the reference goes by model and data, and a run that begins with trained weights has none", () => {
  const plan = planRun({ out: "", preset: "gpt2", data: "shards:/data/edu_fineweb10B" }, false);
  assertEquals(referenceFor(plan)?.name, "fineweb-edu-124M");
  assertEquals(referenceFor({ ...plan, data: "shards:/data/fineweb10B" })?.name, "fineweb-124M");
  assertEquals(referenceFor({ ...plan, data: "moby-dick" }), undefined);
  assertEquals(referenceFor({ ...plan, initFrom: "hf:gpt2" }), undefined);
  assertEquals(referenceFor({ ...plan, model: { ...plan.model, layers: 24 } }), undefined);
  assertThrows(() => referenceNamed("fineweb"), InputError, REFERENCE_NAMES[0]);
});

Deno.test("a run ends early after as many validations without a new best as it was told, not before", () => {
  const early = new EarlyStop(3);
  const losses = [5, 4, 4.5, 3, 3.5, 3.00001, 2.99999, 9];
  assertEquals(losses.map((loss, step) => early.check(step, loss)), [
    false,
    false,
    false,
    false,
    false,
    false,
    true,
    true,
  ]);
  assert(early.text.includes("3.0000 at step 3"), early.text);
});
