import { assert, assertEquals } from "@std/assert";
import { caseNamed } from "../../bench/cases.ts";
import { climbLadder, disagreement, LOSS_STEPS, type RungResult } from "../../bench/ladder.ts";
import { layoutOf, RUNGS, TOP, traceRung } from "../../bench/rungs.ts";
import { compileGraph, LAVAPIPE } from "../../compiler/mod.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { ensureAdapter, openDevice } from "../../runtime/mod.ts";

const TINY = caseNamed("tiny")!;

Deno.test("a rung of the ladder trains another model than the others", async () => {
  await ensureAdapter();
  const device = await openDevice();
  try {
    const rungs = await climbLadder(device, TINY, { rungs: RUNGS, rounds: 1, tuneMs: 200 });
    for (const { name, status, note, losses } of rungs) {
      if (status === "unavailable") continue;
      assert(status === "measured" || status === "same", `${name} ${status}: ${note}`);
      assertEquals(losses?.length, LOSS_STEPS, name);
      assert(losses![LOSS_STEPS - 1] < losses![0], `${name} does not learn: ${losses}`);
    }
    assertEquals(disagreement(rungs), undefined);
    const launches = (name: string) => rungs.find((rung) => rung.name === name)!.dispatches!;
    assert(launches("fusion") < launches("eager"), "fusion saves no launches");
    assert(launches("flat-optimizer") < launches("chunked-loss"), "a flat optimizer saves no launches");
  } finally {
    device.destroy();
  }
});

Deno.test("the top rung is not the program that trains", () => {
  const { optimizations } = TOP.recipe;
  const top = compileGraph(traceRung(TINY, TOP.recipe), LAVAPIPE, { optimizations });
  assertEquals(top.hash, compileGraph(traceTrainStep(TINY, TINY), LAVAPIPE).hash);
});

Deno.test("rungs loaded anew for every visit, or too large for the device, end the climb", async () => {
  await ensureAdapter();
  const device = await openDevice();
  try {
    const rungs = RUNGS.filter(({ name }) => name === "flat-optimizer" || name === "padded-vocabulary");
    const anew = await climbLadder(device, TINY, { rungs, rounds: 2, keepBytes: 0 });
    assertEquals(anew.map(({ status }) => status), ["measured", "measured"]);
    const left = device.memory.allocatedBytes; // staging buffers for readbacks stay
    await climbLadder(device, TINY, { rungs, rounds: 2, keepBytes: 0 });
    assertEquals(device.memory.allocatedBytes, left, "buffers were left behind");
    const small = await climbLadder(device, TINY, { rungs, rounds: 1, budgetBytes: 1000 });
    assertEquals(small.map(({ status }) => status), ["too large", "too large"]);
    assert(small[0].peakBytes! > 1000, "a rung that does not fit says nothing of its size");
  } finally {
    device.destroy();
  }
});

Deno.test("losses that differ, or are no numbers, pass for equal", () => {
  const rung = (losses: readonly number[], dtype = "f32"): RungResult => ({
    name: "rung",
    title: "rung",
    status: "measured",
    dtype,
    losses,
  });
  assertEquals(disagreement([rung([6, 5]), rung([6.00001, 5.00001]), rung([6.05, 5.05], "f16")]), undefined);
  assert(disagreement([rung([6, 5]), rung([6, 5.01])])?.includes("step 2"));
  assert(disagreement([rung([6, 5]), rung([NaN, 5])])?.includes("step 1"));
  assert(disagreement([rung([6, 5]), rung([6.5, 5], "f16")])?.includes("step 1"));
});

Deno.test("the layout without padding overlaps parameters, or lets them decay that should not", () => {
  const { parameters, decayed, size } = layoutOf(TINY, RUNGS[0].recipe);
  const padded = layoutOf(TINY, RUNGS.at(-1)!.recipe);
  assertEquals(parameters.map(({ name }) => name), padded.parameters.map(({ name }) => name));
  assertEquals(parameters[0].shape, [TINY.vocabulary, TINY.width]);
  assertEquals(padded.parameters[0].shape, [512, TINY.width]);
  parameters.forEach(({ name, offset, size: length, shape }, i) => {
    const next = parameters[i + 1]?.offset ?? size;
    assert(offset + length <= next, `${name} runs into the next parameter`);
    assertEquals(offset < decayed, shape.length >= 2, name);
  });
});
