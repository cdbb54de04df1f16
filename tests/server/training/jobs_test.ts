/**
 * Jobs that really train, on whatever adapter there is.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { openCheckpoint, readTensors } from "../../../model/checkpoint.ts";
import type { TrainerEvent } from "../../../model/messages.ts";
import { TrainerClient } from "../../../model/trainer_client.ts";
import { ensureAdapter } from "../../../runtime/adapter.ts";
import type { TrainingService } from "../../../server/services.ts";
import type { MakeTrainer } from "../../../server/training/job_run.ts";
import { appOf, eventOf, openJobs, post, stateOf, TINY, withRuns } from "./support.ts";

await ensureAdapter();

const STEPS = 300;
/** What every run here is asked for that is compared with another. */
const COMPARED = {
  ...TINY,
  name: "a",
  steps: STEPS,
  saveEvery: 20,
  evalEvery: 0,
  sampleEvery: 0,
  tune: "never",
};

/** Losses of all steps of a job. */
function losses(jobs: TrainingService): (number | null)[] {
  const metrics = jobs.metrics("a", {});
  assertEquals(metrics.map(({ step }) => step), Array.from({ length: STEPS }, (_, i) => i + 1));
  return metrics.map(({ loss }) => loss);
}

let reference: Promise<(number | null)[]> | undefined;

/** Losses of the run that nothing interrupts. */
function uninterrupted(): Promise<(number | null)[]> {
  return reference ??= (async () => {
    let result: (number | null)[] = [];
    await withRuns(async (runs) => {
      const jobs = await openJobs(runs);
      await jobs.create(COMPARED);
      assertEquals((await stateOf(jobs, "a", "finished")).state, "finished");
      result = losses(jobs);
      await jobs.close();
    });
    return result;
  })();
}

Deno.test("jobs train, wait, pause, go on, save, sample and end as their clients ask", () =>
  withRuns(async (runs) => {
    const jobs = await openJobs(runs);
    const app = appOf(jobs);
    const path = "/v1/training/jobs";
    const act = async (name: string, body?: unknown) => {
      const response = await post(app, `${path}/a/${name}`, body);
      return await response.json();
    };
    await post(app, path, { ...TINY, name: "a", steps: 100_000, evalEvery: 10, sampleEvery: 0 });
    for (const name of ["b", "c"]) {
      await post(app, path, { ...TINY, name, steps: 20, evalEvery: 0, sampleEvery: 0 });
    }
    assertEquals(["b", "c"].map((id) => jobs.get(id).position), [1, 2]);
    await eventOf(jobs, "a", ({ kind }) => kind === "profile");
    const { step, files } = await act("checkpoint");
    assert(step >= 1 && files.length === 5, JSON.stringify(files));
    const folder = join(runs, `copy/step-${String(step).padStart(6, "0")}`);
    await Deno.mkdir(folder, { recursive: true });
    for (const { name, bytes } of files) {
      const response = await app.request(`${path}/a/checkpoints/${step}/${name}`);
      const content = await response.bytes();
      assertEquals([content.length, response.headers.get("content-length")], [bytes, String(bytes)]);
      await Deno.writeFile(join(folder, name), content);
    }
    const checkpoint = await openCheckpoint(folder);
    assertEquals(checkpoint.trainer.step, step);
    assert((await readTensors(checkpoint, "model.safetensors")).size > 10);
    const { text } = await act("sample", { prompt: "Call me", maxTokens: 5 });
    assert(text.startsWith("Call me") && text.length > 7, JSON.stringify(text));
    const refused = await act("sample", { prompt: "x".repeat(400), maxTokens: 400 });
    assertEquals(refused.error.param, "prompt");
    const paused = await act("pause");
    assertEquals(paused.state, "paused");
    assert(paused.step > step && paused.loss > 0 && paused.validationLoss > 0, JSON.stringify(paused));
    assertEquals((await stateOf(jobs, "b", "finished")).step, 20);
    assertEquals((await act("resume")).state, "queued");
    assertEquals((await post(app, `${path}/c/cancel`)).status, 200);
    const plan = await eventOf(jobs, "a", ({ kind, data }) => kind === "plan" && data.resumedFrom !== 0);
    assertEquals(plan.data.resumedFrom, paused.step);
    await eventOf(jobs, "a", ({ kind, data }) => kind === "step" && Number(data.step) > paused.step);
    assertEquals((await act("cancel")).state, "cancelled");
    assertEquals(jobs.counts(), { queued: 0, running: 0, paused: 0, finished: 1, failed: 0, cancelled: 2 });
    assertEquals(
      jobs.events("a", { kinds: ["profile"] }).length,
      1,
      "it was profiled twice, or its profile is lost",
    );
    await jobs.close();
  }));

Deno.test("a job whose server is killed goes on and computes what it would have computed, bit for bit", () =>
  withRuns(async (runs) => {
    const expected = await uninterrupted();
    const support = new URL("./support.ts", import.meta.url).href;
    const script = join(runs, "server.ts");
    await Deno.writeTextFile(
      script,
      `const { openJobs } = await import(${JSON.stringify(support)});
       const jobs = await openJobs(${JSON.stringify(runs)}, {
         onEvent: ({ kind }) => kind === "checkpoint" && console.log("saved"),
       });
       await jobs.create(${JSON.stringify(COMPARED)});
       await jobs.create(${JSON.stringify({ ...TINY, name: "b", steps: 20 })});`,
    );
    const config = new URL("../../../deno.json", import.meta.url).pathname;
    const server = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", config, script],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = server.stdout.getReader();
    await reader.read();
    server.kill("SIGKILL");
    await server.status;
    await reader.cancel();
    const jobs = await openJobs(runs);
    assertEquals(["a", "b"].map((id) => jobs.get(id).state), ["running", "queued"]);
    assertEquals((await stateOf(jobs, "a", "finished")).state, "finished");
    const [first, second] = jobs.events("a", { kinds: ["plan"] });
    assertEquals(first.data.resumedFrom, 0);
    const from = Number(second.data.resumedFrom);
    assert(from > 0 && from < STEPS, `it went on from ${from}`);
    assertEquals(losses(jobs), expected);
    const ids = jobs.events("a", {}).map(({ id }) => id);
    assertEquals(ids, ids.map((_, i) => i + 1));
    await jobs.close();
  }));

Deno.test("a job whose device is lost goes on on another one within ten seconds, bit for bit", () =>
  withRuns(async (runs) => {
    const expected = await uninterrupted();
    let lost = 0;
    const makeTrainer: MakeTrainer = (onEvent) => {
      let pass = onEvent;
      const client = new TrainerClient((event) => pass(event));
      const gone = Promise.withResolvers<Extract<TrainerEvent, { kind: "failure" }>>();
      const lose = () => {
        lost = performance.now();
        pass = () => {};
        client.terminate();
        gone.resolve({
          kind: "failure",
          message: "GPU error (lost): pulled out",
          badInput: false,
          reason: "device-lost",
        });
      };
      if (lost === 0) {
        pass = (event) => {
          onEvent(event);
          if (event.kind === "checkpoint" && event.step >= 40) lose();
        };
      }
      return {
        finished: Promise.race([client.finished, gone.promise]),
        start: (request, turns) => client.start(request, turns),
        stop: (save) => client.stop(save),
        ask: (question) => client.ask(question),
        terminate: () => client.terminate(),
      };
    };
    const jobs = await openJobs(runs, { makeTrainer });
    await jobs.create(COMPARED);
    await eventOf(jobs, "a", ({ kind, data }) => kind === "plan" && data.resumedFrom !== 0);
    const plans = jobs.events("a", { kinds: ["plan", "deviceLost"] });
    assertEquals(plans.map(({ kind }) => kind), ["plan", "deviceLost", "plan"]);
    await stateOf(jobs, "a", "finished");
    assertEquals(losses(jobs), expected);
    await jobs.close();
  }));
