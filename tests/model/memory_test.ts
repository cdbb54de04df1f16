/**
 * Budgets of memory from outside: amounts as people write them, what a run says about its budget and keeps of it, and
 * what is refused.
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { InputError } from "../../model/errors.ts";
import { memoryText, parseMemory } from "../../model/memory.ts";
import type { RunPlan } from "../../model/run_options.ts";
import { run, TINY, withFolder } from "./command.ts";

/** Enough tokens that activations are most of what a step holds. */
const MODEL = [...TINY, "--layers=2", "--micro-batch=64"].filter((flag, i, all) =>
  all.findLastIndex((other) => other.split("=")[0] === flag.split("=")[0]) === i
);

/** The least budget that a refusal names, as the flag wants it. */
async function leastBudget(command: string, flags: readonly string[]): Promise<string> {
  const { code, stderr } = await run(command, [...flags, "--memory=0.01MB"]);
  assertEquals(code, 2, stderr);
  const [, least] =
    /^error: --memory 1MB: the run needs at least (\d+MB), .*take --memory \1 /m.exec(stderr) ?? [];
  assert(least, stderr);
  return least;
}

Deno.test("amounts of memory are read in decimal and binary units, and nothing else is", () => {
  const amounts: Record<string, number> = {
    "4GB": 4e9,
    "500MB": 5e8,
    "1.5gib": 1.5 * 2 ** 30,
    ".5 GB": 5e8,
    "16 MiB": 2 ** 24,
  };
  for (const [text, bytes] of Object.entries(amounts)) assertEquals(parseMemory(text), bytes, text);
  for (const text of ["4", "GB", "-1GB", "4TB", "4 G B", "0GB", "1e3MB", "", "constructorGB", "4toString"]) {
    assertThrows(() => parseMemory(text), InputError, `--memory ${text}: not an amount of memory`);
  }
});

Deno.test("an amount that a message names is enough when it is given back", () => {
  for (const bytes of [1, 999_999, 28_345_678, 999_999_999, 1e9, 2_637_226_016, 4_602_700_001]) {
    assert(parseMemory(memoryText(bytes)) >= bytes, memoryText(bytes));
  }
});

Deno.test("a run within a budget says what it plans and recomputes, and its checkpoint keeps the budget", async () => {
  await withFolder(async (folder) => {
    const flags = [...MODEL, "--steps=2", "--eval-every=0", "--sample-every=0"];
    const least = await leastBudget("train", [...flags, `--out=${folder}/refused`]);
    const { code, stdout, stderr } = await run("train", [
      ...flags,
      `--memory=${least}`,
      `--out=${folder}/run`,
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(
      stdout,
      /^memory: \d+ MB planned of \d+ MB \(--memory\), \d+ values recomputed, \+[\d.]+% arithmetic$/m,
    );
    const { trainer } = await openCheckpoint(`${folder}/run/step-000002`);
    assertEquals((trainer.plan as RunPlan).memoryBytes, parseMemory(least));
  });
});

Deno.test("inspect lists what is kept and what is recomputed, with and without a budget", async () => {
  const flags = [...MODEL, "--target=lavapipe", "--stage=recompute"];
  const free = await run("inspect", flags);
  assertMatch(free.stdout, /no budget of memory was given/);
  assertMatch(free.stdout, /^computed again for the backward pass: 0 values/m);
  assertMatch(free.stdout, /^kept for the backward pass: [1-9]\d* values/m);
  const small = await run("inspect", [...flags, `--memory=${await leastBudget("inspect", flags)}`]);
  assertMatch(small.stdout, /^peak [\d.]+ MB of [\d.]+ MB; it would be [\d.]+ MB if all were kept/m);
  assertMatch(small.stdout, /^computed again for the backward pass: [1-9]\d* values/m);
  assertMatch(small.stdout, / {2}h\.[01]\.mlp {2}mul f32/);
});

Deno.test("an amount of memory without a unit is refused by its flag, before anything runs", async () => {
  for (const command of ["train", "inspect"]) {
    const { code, stderr } = await run(command, ["--memory=4"]);
    assertEquals(code, 2);
    assertMatch(stderr, /^error: --memory 4: not an amount of memory; give a number with MB, GB, MiB or GiB/);
  }
});
