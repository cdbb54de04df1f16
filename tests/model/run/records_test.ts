/**
 * What a run writes beside its checkpoints, and that none of it can end the run.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { InputError } from "../../../model/errors.ts";
import type { PlanEvent, TrainerEvent } from "../../../model/messages.ts";
import { planDisk } from "../../../model/run/disk_plan.ts";
import { appendMetrics, METRICS_FILE, metricsLine, readMetrics } from "../../../model/run/metrics.ts";
import { Recorder } from "../../../model/run/recorder.ts";
import { readRunFile } from "../../../model/run/run_file.ts";
import { listRuns, refreshRun, STORE_FILE } from "../../../model/run/store.ts";
import { planRun } from "../../../model/run_options.ts";
import { withFolder } from "../command.ts";

function planned(out: string, resumedFrom = 0): PlanEvent {
  const plan = planRun({ out, preset: "nano", steps: 20 }, true);
  return {
    kind: "plan",
    out,
    plan,
    adapter: { name: "some adapter", software: true },
    parameters: 12,
    trainTokens: 1000,
    validationTokens: 100,
    resumedFrom,
    disk: planDisk(plan, out, 0, 0, 1e12),
  };
}

const step = (step: number, loss = 5 - step / 10): TrainerEvent => (
  { kind: "step", step, loss, learningRate: 1e-3, gradNorm: 1, tokensPerSecond: 100, ms: 10 }
);
const validation = (step: number, loss: number): TrainerEvent => ({
  kind: "validation",
  step,
  loss,
  tokens: step * 1024,
});

async function record(event: PlanEvent, events: readonly TrainerEvent[]): Promise<string[]> {
  const notices: string[] = [];
  const recorder = await Recorder.open(event, (text) => notices.push(text));
  for (const each of events) recorder.note(each);
  recorder.close();
  return notices;
}

Deno.test("a run that goes on takes back what it had written of later steps, in every file", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/run`;
    const first = [step(1), step(2), validation(2, 4.5), step(3), step(4), validation(4, 4.2)];
    assertEquals(await record(planned(out), first), []);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // event files are named by the second
    const more: TrainerEvent[] = [step(3, 1), validation(3, 4.4), {
      kind: "end",
      reason: "stopped",
      step: 3,
    }];
    assertEquals(await record(planned(out, 2), more), []);
    const lines = await readMetrics(out);
    assertEquals(lines.map(({ event, step }) => `${event} ${step}`), [
      "step 1",
      "step 2",
      "validation 2",
      "step 3",
      "validation 3",
    ]);
    assertEquals(lines[3].loss, 1);
    const run = await readRunFile(out);
    assertEquals(run?.starts.map(({ step }) => step), [0, 2]);
    assertEquals(run?.plan.steps, 20);
    const files = [...Deno.readDirSync(out)].map(({ name }) => name).filter((name) =>
      name.includes("tfevents")
    );
    assertEquals(files.length, 2);
    const [row] = listRuns(folder);
    const { name, state, validation_loss, best_loss, best_step } = row;
    assertEquals({ name, state, step: row.step, validation_loss, best_loss, best_step }, {
      name: "run",
      state: "stopped",
      step: 3,
      validation_loss: 4.4,
      // That of step 4, which the run that went on has not reached again, no longer counts.
      best_loss: 4.4,
      best_step: 3,
    });
  });
});

Deno.test("figures that are no numbers are null, and the run's row keeps the last that was one", async () => {
  await withFolder(async (folder) => {
    const failure: TrainerEvent = { kind: "failure", message: "step 2: the loss is NaN", badInput: false };
    await record(planned(`${folder}/run`), [step(1), step(2, NaN), failure]);
    const [, bad] = await readMetrics(`${folder}/run`);
    assertEquals(bad.loss, null);
    const [{ state, message }] = listRuns(folder);
    assertEquals({ state, message }, { state: "failed", message: "step 2: the loss is NaN" });
  });
});

Deno.test("a torn line is passed over, and what is added stands on a line of its own", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/${METRICS_FILE}`, '{"event":"step","step":1}\n{"event":"step","st');
    const added = metricsLine(
      {
        kind: "evaluation",
        step: 1,
        name: "hellaswag",
        correct: 3,
        correctNorm: 4,
        count: 10,
        acc: 0.3,
        accNorm: 0.4,
      },
    )!;
    await appendMetrics(folder, [added]);
    await appendMetrics(folder, [added]);
    const lines = await readMetrics(folder);
    assertEquals(lines.map(({ event }) => event), ["step", "evaluation", "evaluation"]);
    assertEquals(lines[1], { ...added });
  });
});

Deno.test("files that cannot be written are said once, and the others go on", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/run`;
    await Deno.mkdir(`${out}/${METRICS_FILE}`, { recursive: true });
    const notices = await record(planned(out), [step(1), step(2), {
      kind: "end",
      reason: "finished",
      step: 2,
    }]);
    assertEquals(notices.length, 1, notices.join("\n"));
    assert(notices[0].startsWith("metrics.jsonl is not written from here on"), notices[0]);
    assertEquals(listRuns(folder)[0].state, "finished");
  });
});

Deno.test("another program's database is not written to", async () => {
  await withFolder(async (folder) => {
    const database = new DatabaseSync(`${folder}/${STORE_FILE}`);
    database.exec("CREATE TABLE runs (mine TEXT)");
    database.close();
    const notices = await record(planned(`${folder}/run`), [step(1)]);
    assert(notices.length === 1 && notices[0].includes("not a list of runs"), notices.join("\n"));
    assertThrows(() => listRuns(folder), InputError, "move it away");
  });
});

Deno.test("what is measured after a run shows in its row", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/run`;
    await record(planned(out), [step(1), validation(1, 4), { kind: "end", reason: "finished", step: 1 }]);
    await appendMetrics(out, [{ event: "evaluation", step: 1, name: "hellaswag", accNorm: 0.31 }]);
    refreshRun(out, await readMetrics(out));
    const [{ state, hellaswag, best_loss }] = listRuns(folder);
    assertEquals({ state, hellaswag, best_loss }, { state: "finished", hellaswag: 0.31, best_loss: 4 });
    refreshRun(`${folder}/other`, []);
    assertEquals(listRuns(folder).length, 1);
  });
});

Deno.test("there are no runs where nothing was ever listed", () => {
  assertEquals(listRuns("/nonexistent"), []);
});
