/**
 * Which schedules a run gets: measured ones when it is long enough, none when it is told so, and its own when it goes on.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { compileStages } from "../../compiler/mod.ts";
import { InputError } from "../../model/errors.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { planRun, type TrainRequest } from "../../model/run_options.ts";
import { TrainingSession } from "../../model/session.ts";
import { type Schedules, schedulesOf, Tuning, type TuningOptions } from "../../model/tuning.ts";
import { tuneChoice } from "../../model/commands/flags.ts";
import { openDevice, TuningCache } from "../../runtime/mod.ts";
import { seededTokens } from "./seeded.ts";

const SMALL: TrainRequest = {
  out: "",
  preset: "nano",
  layers: 1,
  width: 32,
  heads: 2,
  context: 16,
  microBatch: 2,
  steps: 10,
};

const device = await openDevice();
globalThis.addEventListener("unload", () => device.destroy());
const plan = planRun(SMALL, true);
const { model } = plan;
const graph = traceTrainStep(model, { batch: plan.microBatch, context: model.context });
const job = { graph, name: "step", runs: 1 };
const { tunables } = compileStages(graph, device.capabilities);

/** For every kernel the second candidate, as if it had won. */
function otherSchedules(): Schedules {
  return Object.fromEntries(
    tunables.map(({ key, candidates, preferred }) => [key, candidates()[1] ?? preferred]),
  );
}

function cacheOf(schedules: Schedules): TuningCache {
  const cache = TuningCache.inMemory();
  for (const [key, schedule] of Object.entries(schedules)) cache.set(key, { schedule, trials: 1 });
  return cache;
}

async function compile(options: Partial<TuningOptions>): Promise<{ schedules: Schedules; lines: string[] }> {
  const lines: string[] = [];
  const notify = (line: string) => void lines.push(line);
  const defaults = { mode: "fused", steps: 10, notify, cache: TuningCache.inMemory() } as const;
  const tuning = await Tuning.open(device, { ...defaults, ...options });
  return { schedules: schedulesOf(await tuning.compile([job])), lines };
}

const preferred = Object.fromEntries(tunables.map(({ key, preferred }) => [key, preferred]));

Deno.test("a short run measures nothing, but uses what was measured", async () => {
  assertEquals(await compile({}), { schedules: preferred, lines: [] });
  const measured = otherSchedules();
  assertEquals(await compile({ cache: cacheOf(measured) }), { schedules: measured, lines: [] });
});

Deno.test("a run that is told to never tune uses the templates' own schedules", async () => {
  const cache = cacheOf(otherSchedules());
  assertEquals(await compile({ choice: "never", cache, steps: 1e9 }), { schedules: preferred, lines: [] });
});

Deno.test("a run that goes on gets its own schedules, whatever was measured meanwhile and however long it is", async () => {
  const recorded = otherSchedules();
  const cache = cacheOf(preferred);
  assertEquals(await compile({ recorded, cache, steps: 1e9 }), { schedules: recorded, lines: [] });
});

Deno.test("a run that cannot go on with its own schedules says so in one line", async () => {
  const recorded = { ...otherSchedules(), [tunables[0].key]: { kind: "of another adapter" } };
  const { schedules, lines } = await compile({ recorded });
  assertEquals(schedules[tunables[0].key], tunables[0].preferred);
  assertEquals(lines.length, 1);
  assertMatch(lines[0], /^1 of \d+ kernels are not those that the run began with/);
});

Deno.test("a run from before schedules were kept goes on with the templates' own, and says nothing", async () => {
  assertEquals(await compile({ recorded: {}, steps: 1e9 }), { schedules: preferred, lines: [] });
});

Deno.test("a session goes on to the bit with the schedules of another one", async () => {
  const states = async (options: Partial<TuningOptions>) => {
    const tuning = await Tuning.open(device, { mode: "fused", steps: 10, ...options });
    const session = await TrainingSession.open(device, plan, tuning);
    await session.initialize();
    const tokens = seededTokens(1, 33, model.vocabulary);
    for (let step = 0; step < 3; step++) {
      session.step(step, [{ tokens: tokens.slice(0, 32), targets: tokens.slice(1) }]);
    }
    const values = await session.snapshot();
    return { params: values.params, schedules: session.schedules };
  };
  const first = await states({ cache: cacheOf(otherSchedules()) });
  // As a checkpoint keeps them.
  const recorded = JSON.parse(JSON.stringify(first.schedules));
  const second = await states({ recorded, cache: cacheOf(preferred) });
  assertEquals(second.schedules, first.schedules);
  assert(first.params.every((value, i) => value === second.params[i]));
});

Deno.test("a run that is told to tunes its kernels, says so in one line, and knows all of them afterwards", async () => {
  const cache = TuningCache.inMemory();
  const { schedules, lines } = await compile({ choice: "always", cache });
  assertEquals(lines.length, 1, lines.join("\n"));
  assertMatch(lines[0], /^tuned \d+ kernels? in [\d.]+ s \(\d+ schedules tried\): /);
  for (const { key } of tunables) assertEquals(schedules[key], cache.get(key)?.schedule);
});

Deno.test("the two switches exclude each other", () => {
  assertEquals(tuneChoice({}), "auto");
  assertEquals(tuneChoice({ tune: true }), "always");
  assertEquals(tuneChoice({ "no-tune": true }), "never");
  assertThrows(() => tuneChoice({ tune: true, "no-tune": true }), InputError, "--no-tune");
});
