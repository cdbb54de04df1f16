/**
 * The database of jobs: what it keeps, what it refuses, and what a process leaves behind that dies.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { join } from "@std/path";
import { InputError } from "../../../model/errors.ts";
import { type Entry, JobStore } from "../../../server/training/store.ts";
import { withRuns } from "./support.ts";

const TIME = "2026-01-31T12:00:00.000Z";

function stepEntry(step: number): Entry {
  const figures = { loss: 1 / step, learningRate: 1e-3, gradNorm: null, tokensPerSecond: 10, ms: 1 };
  return { time: TIME, kind: "step", data: { step }, metrics: { step, ...figures }, patch: { step } };
}

function withStore(test: (store: JobStore, path: string) => void | Promise<void>): Promise<void> {
  return withRuns(async (runs) => {
    const path = join(runs, "server.sqlite");
    const store = new JobStore(path);
    try {
      await test(store, path);
    } finally {
      store.close();
    }
  });
}

Deno.test("everything of a job is there after the database was closed and opened", () =>
  withRuns((runs) => {
    const path = join(runs, "server.sqlite");
    let store = new JobStore(path);
    store.insert("a", TIME, { preset: "nano" });
    store.append("a", [stepEntry(1), stepEntry(2)]);
    store.append("a", [{
      time: TIME,
      kind: "validation",
      data: { step: 2, loss: 3 },
      validation: { step: 2, loss: 3 },
      patch: { validationLoss: 3, plan: { steps: 9 }, steps: 9 },
    }]);
    const before = [store.get("a"), store.events("a", {}), store.metrics("a", {})];
    store.close();
    store = new JobStore(path);
    assertEquals([store.get("a"), store.events("a", {}), store.metrics("a", {})], before);
    assertEquals(store.metrics("a", { after: 1 })[0].validationLoss, 3);
    assertEquals(store.get("a")!.plan, { steps: 9 });
    assertEquals(store.append("a", [stepEntry(3)])[0].id, 4, "an id was used twice");
    store.close();
    return Promise.resolve();
  }));

Deno.test("entries that cannot all be written leave nothing, not even a number", () =>
  withStore((store) => {
    store.insert("a", TIME, {});
    store.append("a", [stepEntry(1)]);
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    assertThrows(() => store.append("a", [stepEntry(2), { time: TIME, kind: "bad", data: circular }]));
    assertEquals(store.events("a", {}).map(({ id }) => id), [1]);
    assertEquals(store.metrics("a", {}).length, 1);
    assertEquals(store.get("a")!.step, 1);
    assertEquals(store.append("a", [stepEntry(2)])[0].id, 2);
  }));

Deno.test("pages of jobs and events show each once, in order", () =>
  withStore((store) => {
    const ids = Array.from({ length: 25 }, (_, i) => `job-${i}`);
    for (const id of ids) store.insert(id, TIME, {});
    const seen: string[] = [];
    while (seen.length < ids.length) {
      const page = store.list({ after: seen.at(-1), limit: 10 }).map(({ id }) => id);
      assert(page.length > 0, "the pages end too early");
      seen.push(...page);
    }
    assertEquals(seen, ids.toReversed());
    assertEquals(store.list({ states: ["running"] }), []);
    store.append("job-3", Array.from({ length: 30 }, (_, i) => stepEntry(i + 1)));
    assertEquals(store.events("job-3", { after: 10, limit: 5 }).map(({ id }) => id), [11, 12, 13, 14, 15]);
    assertEquals(store.events("job-4", {}), [], "another job's events are shown");
    const state = { time: TIME, kind: "state", data: {} };
    store.append("job-3", [state, stepEntry(31), { ...state, kind: "end" }, state]);
    const chosen = (limit?: number) => store.events("job-3", { kinds: ["state", "end", "state"], limit });
    assertEquals(chosen().map(({ id, kind }) => [id, kind]), [[31, "state"], [33, "end"], [34, "state"]]);
    assertEquals(chosen(2).map(({ id }) => id), [31, 33]);
  }));

Deno.test("a step that is done again replaces its figures", () =>
  withStore((store) => {
    store.insert("a", TIME, {});
    store.append("a", [stepEntry(1), stepEntry(2), stepEntry(3)]);
    store.append("a", [stepEntry(2)]);
    assertEquals(store.metrics("a", {}).map(({ step }) => step), [1, 2, 3]);
    assertEquals(store.events("a", {}).length, 4);
  }));

Deno.test("a database of a newer version, of another program, or that is none is refused and left as it is", () =>
  withRuns((runs) => {
    const newer = join(runs, "newer");
    new JobStore(newer).close();
    const database = new DatabaseSync(newer);
    database.exec("PRAGMA user_version = 99");
    database.close();
    const other = join(runs, "other");
    const foreign = new DatabaseSync(other);
    foreign.exec("CREATE TABLE things (x)");
    foreign.close();
    const text = join(runs, "text");
    Deno.writeTextFileSync(
      text,
      "this is no database, but a text that is long enough to be looked at as one",
    );
    for (
      const [path, words] of [[newer, "newer version"], [other, "not a database of jobs"], [
        text,
        "cannot be used",
      ]]
    ) {
      assertThrows(() => new JobStore(path), InputError, words);
      assertThrows(() => new JobStore(path), InputError, words);
    }
    return Promise.resolve();
  }));

Deno.test("two servers cannot have the same database", () =>
  withStore((_, path) => {
    assertThrows(() => new JobStore(path), InputError, "another server has these runs");
  }));

Deno.test("a process that is killed while it writes leaves whole transactions", () =>
  withRuns(async (runs) => {
    const path = join(runs, "server.sqlite");
    const module = new URL("../../../server/training/store.ts", import.meta.url).href;
    const script = join(runs, "writer.ts");
    await Deno.writeTextFile(
      script,
      `const { JobStore } = await import(${JSON.stringify(module)});
       const store = new JobStore(${JSON.stringify(path)});
       store.insert("a", "${TIME}", {});
       for (let step = 1;; step += 2) {
         const entries = [step, step + 1].map((step) => ({ time: "${TIME}", kind: "step", data: { step },
           metrics: { step, loss: 1, learningRate: 1, gradNorm: 1, tokensPerSecond: 1, ms: 1 }, patch: { step } }));
         store.append("a", entries);
         if (step === 101) console.log("writing");
       }`,
    );
    const config = new URL("../../../deno.json", import.meta.url).pathname;
    const writer = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", config, script],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = writer.stdout.getReader();
    await reader.read();
    writer.kill("SIGKILL");
    await writer.status;
    await reader.cancel();
    const store = new JobStore(path);
    const { step } = store.get("a")!;
    assert(step >= 102 && step % 2 === 0, `step ${step}`);
    assertEquals(store.events("a", {}).length, step);
    assertEquals(store.metrics("a", {}).length, step);
    assertEquals(store.append("a", [stepEntry(step + 1)])[0].id, step + 1);
    store.close();
  }));
