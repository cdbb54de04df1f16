/**
 * Jobs from request to end, with trainers that a test drives.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { ApiError } from "../../../server/http/error.ts";
import { openJobs, stateOf, TINY, withRuns, withScriptedJobs } from "./support.ts";
import { ScriptedTrainers } from "./scripted_trainer.ts";

async function refusal(work: () => Promise<unknown>): Promise<[status: number, code: string]> {
  const { status, code } = await assertRejects(work, ApiError);
  return [status, code];
}

Deno.test("one job has the device and the others wait in order: two at once, or wrong positions", () =>
  withScriptedJobs(async (jobs, trainers) => {
    for (const name of ["a", "b", "c"]) await jobs.create({ ...TINY, name });
    assertEquals(jobs.list().map(({ id, state, position }) => [id, state, position]), [
      ["c", "queued", 2],
      ["b", "queued", 1],
      ["a", "running", undefined],
    ]);
    (await trainers.next()).finish();
    await stateOf(jobs, "b", "running");
    assertEquals(jobs.get("a").state, "finished");
    assertEquals(jobs.get("c").position, 1);
    assertEquals(jobs.counts(), { queued: 1, running: 1, paused: 0, finished: 1, failed: 0, cancelled: 0 });
    await jobs.cancel("c");
    assertEquals(jobs.get("c").state, "cancelled");
    (await trainers.next()).finish();
    await stateOf(jobs, "b", "finished");
    assertEquals(trainers.made.length, 2, "a cancelled job was started");
    assert(trainers.made.every(({ isTerminated }) => isTerminated), "a Worker is left over");
  }));

Deno.test("pause saves, gives the device up, and resume goes on at the end of the queue", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    await jobs.create({ ...TINY, name: "b" });
    const first = await trainers.next();
    assertEquals(first.request!.resume, false);
    first.advance(7);
    const paused = await jobs.pause("a");
    assertEquals([paused.state, paused.step], ["paused", 7]);
    assert(first.isTerminated, "the Worker keeps the device");
    assertEquals((await jobs.checkpoints("a")).map(({ step }) => step), [7]);
    const resumed = await jobs.resume("a");
    assertEquals([resumed.state, resumed.position], ["queued", 1]);
    (await trainers.next()).finish();
    const again = await trainers.next();
    assertEquals([again.request!.resume, again.step], [true, 7]);
    again.advance(1);
    again.finish();
    assertEquals((await stateOf(jobs, "a", "finished")).step, 8);
  }));

Deno.test("a waiting job can be paused, and is passed over", () =>
  withScriptedJobs(async (jobs, trainers) => {
    for (const name of ["a", "b", "c"]) await jobs.create({ ...TINY, name });
    await jobs.pause("b");
    (await trainers.next()).finish();
    await stateOf(jobs, "c", "running");
    assertEquals(jobs.get("b").state, "paused");
  }));

Deno.test("what a state does not allow is refused with 409, an unknown job with 404", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    assertEquals(await refusal(() => jobs.resume("a")), [409, "wrong_state"]);
    assertEquals(await refusal(() => jobs.create({ ...TINY, name: "a" })), [409, "name_taken"]);
    trainer.finish();
    await stateOf(jobs, "a", "finished");
    for (const act of ["pause", "resume", "cancel", "checkpoint"] as const) {
      assertEquals(await refusal(() => jobs[act]("a")), [409, "wrong_state"], act);
      assertEquals(await refusal(() => jobs[act]("nobody")), [404, "unknown_job"], act);
    }
    assertEquals(await refusal(() => jobs.sample("a", { prompt: "x", maxTokens: 1 })), [409, "wrong_state"]);
    assertEquals(await refusal(() => jobs.create({ ...TINY, name: "a" })), [409, "name_taken"]);
  }));

Deno.test("a directory that something else lies in is no place for a job", () =>
  withScriptedJobs(async (jobs, _, runs) => {
    await Deno.mkdir(join(runs, "taken/inside"), { recursive: true });
    assertEquals(await refusal(() => jobs.create({ ...TINY, name: "taken" })), [409, "name_taken"]);
    assertEquals(jobs.list(), [], "a refused job was kept");
    await Deno.mkdir(join(runs, "empty"));
    assertEquals((await jobs.create({ ...TINY, name: "empty" })).state, "running");
  }));

Deno.test("more jobs than may wait are refused with 429", () =>
  withScriptedJobs(async (jobs) => {
    for (let i = 0; i < 3; i++) await jobs.create(TINY);
    assertEquals(await refusal(() => jobs.create(TINY)), [429, "queue_full"]);
  }, { maxQueued: 2 }));

Deno.test("a lost device is replaced and the job goes on from its newest checkpoint", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a", steps: 100 });
    const first = await trainers.next();
    first.advance(10);
    first.save();
    first.advance(5);
    const started = performance.now();
    first.fail("GPU error (lost): gone", "device-lost");
    const second = await trainers.next();
    assert(performance.now() - started < 10_000);
    assert(first.isTerminated, "the old Worker still runs");
    assertEquals([second.request!.resume, second.step], [true, 10]);
    second.advance(90);
    second.finish();
    await stateOf(jobs, "a", "finished");
    const steps = jobs.metrics("a", {}).map(({ step }) => step);
    assertEquals(
      steps,
      Array.from({ length: 100 }, (_, i) => i + 1),
      "steps are missing or twice in the figures",
    );
    const lost = jobs.events("a", { kinds: ["deviceLost"] });
    assertEquals(lost.map(({ data }) => data.attempt), [1]);
  }));

Deno.test("three losses in a row without progress are survived, a fourth is not; progress starts the count anew", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a", steps: 100 });
    for (const steps of [3, 4]) {
      const trainer = await trainers.next();
      trainer.advance(steps);
      trainer.fail("gone", "device-lost");
    }
    // Step 4 is the furthest; being lost at it again is no progress.
    for (let i = 0; i < 3; i++) {
      const trainer = await trainers.next();
      trainer.advance(i);
      trainer.fail("gone", "device-lost");
    }
    const { error } = await stateOf(jobs, "a", "failed");
    assertEquals(error, "gone; the device was lost 4 times in a row without progress");
    assertEquals(jobs.events("a", { kinds: ["deviceLost"] }).map(({ data }) => data.attempt), [1, 1, 2, 3]);
  }));

Deno.test("a failure fails the job, the next one starts, and a failed job can be resumed", () =>
  withScriptedJobs(async (jobs, trainers, runs) => {
    await jobs.create({ ...TINY, name: "a" });
    await jobs.create({ ...TINY, name: "b" });
    (await trainers.next()).fail(`checkpoint ${runs}/a/step-000001: could not be written`);
    await stateOf(jobs, "b", "running");
    const failed = jobs.get("a");
    assertEquals(failed.state, "failed");
    assertEquals(
      failed.error,
      "checkpoint a/step-000001: could not be written",
      "a path of this machine is shown",
    );
    assertEquals((await jobs.resume("a")).error, undefined);
  }));

Deno.test("a run whose last step was saved before the server died has finished", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    (await trainers.next()).fail("the run is at step 400 of 400 already", "already-finished");
    await stateOf(jobs, "a", "finished");
  }));

Deno.test("cancel during a pause wins, and a trainer that does not stop is ended", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    const stops: boolean[] = [];
    trainer.onStop = (save) => void stops.push(save);
    const pausing = refusal(() => jobs.pause("a"));
    assertEquals((await jobs.cancel("a")).state, "cancelled");
    assertEquals(await pausing, [409, "wrong_state"]);
    assertEquals(stops, [true, false]);
    assert(trainer.isTerminated);
  }));

Deno.test("checkpoint and sample are answered by the trainer; both show in the events", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    trainer.advance(3);
    const { step, files, bytes } = await jobs.checkpoint("a");
    assertEquals([step, files.map(({ name }) => name), bytes], [
      3,
      ["model.safetensors", "trainer.json"],
      19,
    ]);
    assertEquals(await jobs.sample("a", { prompt: "Call", maxTokens: 4 }), "Call…");
    assertEquals(jobs.events("a", { kinds: ["checkpoint", "sample"] }).map(({ data }) => data), [
      { step: 3 },
      { step: 3, text: "Call…", prompt: "Call" },
    ]);
  }));

Deno.test("what was asked of a trainer that ends or loses its device is refused, not left waiting", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    const first = await trainers.next();
    first.ask = () => {};
    const asked = refusal(() => jobs.checkpoint("a"));
    first.fail("gone", "device-lost");
    assertEquals(await asked, [503, "device_lost"]);
    const second = await trainers.next();
    second.ask = () => {};
    const askedAgain = refusal(() => jobs.sample("a", { prompt: "x", maxTokens: 1 }));
    second.finish();
    assertEquals(await askedAgain, [409, "job_not_running"]);
  }));

Deno.test("clients cannot pile up samples until nothing is trained any more", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    trainer.ask = () => {};
    const ask = () => refusal(() => jobs.sample("a", { prompt: "x", maxTokens: 1 }));
    const asked = Array.from({ length: 8 }, ask);
    assertEquals(await ask(), [429, "too_many_questions"]);
    trainer.finish();
    assertEquals(await Promise.all(asked), Array(8).fill([409, "job_not_running"]));
  }));

Deno.test("an automatic checkpoint is made when steps are unsaved, and goes when there is a newer one", () =>
  withScriptedJobs(async (jobs, trainers) => {
    await jobs.create({ ...TINY, name: "a", saveEvery: 100 });
    const trainer = await trainers.next();
    const saves = async (count: number) => {
      while (trainer.asked.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return (await jobs.checkpoints("a")).map(({ step }) => step);
    };
    trainer.advance(3);
    assertEquals(await saves(1), [3]);
    await new Promise((resolve) => setTimeout(resolve, 60));
    assertEquals(trainer.asked.length, 1, "it saves again although nothing was done");
    trainer.advance(3);
    assertEquals(await saves(2), [6], "the older automatic checkpoint is still there");
    trainer.advance(94);
    trainer.save();
    assertEquals(await saves(2), [100]);
    trainer.advance(1);
    trainer.finish();
    await stateOf(jobs, "a", "finished");
    assertEquals(
      (await jobs.checkpoints("a")).map(({ step }) => step),
      [101, 100],
      "a wanted checkpoint is gone",
    );
  }, { autosaveMs: 25, autosaveGraceMs: 0 }));

Deno.test("after a restart the running job is first and goes on, queued ones wait in order, paused ones stay", () =>
  withRuns(async (runs) => {
    let trainers = new ScriptedTrainers();
    let jobs = await openJobs(runs, { makeTrainer: trainers.make });
    for (const name of ["p", "a", "b", "c"]) await jobs.create({ ...TINY, name });
    await trainers.next();
    await jobs.pause("p");
    const trainer = await trainers.next();
    trainer.advance(4);
    await jobs.close();
    assertEquals(trainer.asked.length, 0);
    trainers = new ScriptedTrainers();
    jobs = await openJobs(runs, { makeTrainer: trainers.make });
    const again = await trainers.next();
    assertEquals([again.request!.resume, again.step], [true, 4], "the shutdown did not save");
    assertEquals(jobs.list().map(({ id, state, position }) => [id, state, position]), [
      ["c", "queued", 2],
      ["b", "queued", 1],
      ["a", "running", undefined],
      ["p", "paused", undefined],
    ]);
    const ids = jobs.events("a", {}).map(({ id }) => id);
    assertEquals(ids, Array.from(ids, (_, i) => i + 1), "ids of events have gaps or are used twice");
    await jobs.close();
  }));

Deno.test("the trainer gets the place of turns and the job's own directory", () => {
  const turns = new SharedArrayBuffer(64);
  return withScriptedJobs(async (jobs, trainers, runs) => {
    await jobs.create({ ...TINY, name: "a", memory: "1GB" });
    const { request, turns: given } = await trainers.next();
    assertEquals(given, turns);
    assertEquals(request!.out, join(runs, "a"));
    assertEquals(request!.memoryBytes, 1e9);
    assertEquals(request!.profile, join(runs, "a", "profile.json"));
  }, { turns });
});
