/**
 * How much disk a run takes: said before it starts, and kept to by removing old checkpoints.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { InputError } from "../../../model/errors.ts";
import { freeBytes, planDisk, requireDisk } from "../../../model/run/disk_plan.ts";
import { expendable, mostKept, type Retention } from "../../../model/run/retention.ts";
import { planRun } from "../../../model/run_options.ts";
import { withFolder } from "../command.ts";
import { Prng } from "../../support/prng.ts";

Deno.test("without a word about it every checkpoint stays", () => {
  assertEquals(expendable([50, 100, 150], {}), []);
});

Deno.test("the newest and the multiples stay, the others go, oldest first", () => {
  const steps = [50, 300, 100, 200, 150, 250];
  assertEquals(expendable(steps, { keepLast: 2 }), [50, 100, 150, 200]);
  assertEquals(expendable(steps, { keepLast: 2, keepEvery: 100 }), [50, 150]);
  assertEquals(expendable(steps, { keepEvery: 200 }), [50, 100, 150, 250]);
  assertEquals(expendable([7], { keepLast: 1 }), [], "the newest stays whatever else");
});

Deno.test("a run never has more checkpoints than was said before it started", () => {
  const seed = 20;
  const random = new Prng(seed);
  const whole = (most: number) => random.integer(1, most);
  for (let attempt = 0; attempt < 200; attempt++) {
    const [from, more, saveEvery] = [whole(100) - 1, whole(300), whole(60)];
    const retention: Retention = {
      ...random.chance(0.7) && { keepLast: whole(5) },
      ...random.chance(0.7) && { keepEvery: whole(100) },
    };
    const to = from + more;
    let there: number[] = [];
    let most = 0;
    for (let step = from + 1; step <= to; step++) {
      if (step % saveEvery !== 0 && step !== to) continue;
      there.push(step);
      const gone = new Set(expendable(there, retention));
      there = there.filter((step) => !gone.has(step));
      most = Math.max(most, there.length);
    }
    const said = mostKept(from, to, saveEvery, retention);
    assert(most <= said, `seed ${seed}, attempt ${attempt}: ${most} checkpoints, ${said} were said`);
  }
});

Deno.test("a run of GPT-2 that would fill a disk is refused with numbers and a way out", () => {
  const plan = planRun({ out: "runs/x", preset: "gpt2", steps: 19_073, saveEvery: 50 }, false);
  const disk = planDisk(plan, "runs/x", 0, 0, 179e9);
  assertEquals(disk.checkpoints, 382);
  const error = assertThrows(() => requireDisk(disk, "runs/x"), InputError);
  assert(
    /382 checkpoints of 1\.\d+ GB, 5\d\d\.\d+ GB in all, and 179 GB are free/.test(error.message),
    error.message,
  );
  assert(error.message.includes("take --keep-last 3"), error.message);
  const kept = planDisk({ ...plan, keepLast: 3, keepEvery: 5000 }, "runs/x", 0, 0, 179e9);
  requireDisk(kept, "runs/x");
  assert(kept.totalBytes < 15e9, `${kept.totalBytes}`);
});

Deno.test("where the system does not tell what is free, nothing is refused", () => {
  const plan = planRun({ out: "x", preset: "gpt2" }, false);
  requireDisk({ ...planDisk(plan, "x", 0, 0, 1), freeBytes: undefined }, "x");
});

Deno.test("free space is that of the nearest folder that exists", async () => {
  await withFolder((folder) => {
    const here = freeBytes(folder);
    assert(here !== undefined && here > 0);
    const deeper = freeBytes(`${folder}/not/yet/there`);
    assert(deeper !== undefined && Math.abs(deeper - here!) < 1e9);
    return Promise.resolve();
  });
});
