/**
 * The routes of training, from request to response.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { join } from "@std/path";
import type { ShellEnv } from "../../../server/http/context.ts";
import type { JobEvent } from "../../../server/services.ts";
import { Prng } from "../../support/prng.ts";
import { appOf, post, stateOf, TINY, withScriptedJobs } from "./support.ts";

const JOBS = "/v1/training/jobs";

async function get(app: OpenAPIHono<ShellEnv>, path: string, status = 200) {
  const response = await app.request(path);
  const body = await response.text();
  assertEquals(response.status, status, body);
  return body === "" ? undefined : JSON.parse(body);
}

/** Reads a stream of events until it ends, or until `most` have come and the client hangs up. */
async function readEvents(response: Response, most = Infinity): Promise<JobEvent[]> {
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const events: JobEvent[] = [];
  let text = "";
  while (events.length < most) {
    const { done, value } = await reader.read();
    if (done) return events;
    text += value;
    const messages = text.split("\n\n");
    text = messages.pop()!;
    for (const message of messages.slice(0, most - events.length)) {
      const fields = new Map(
        message.split("\n").map((line) => line.split(/: ?(.*)/s, 2) as [string, string]),
      );
      if (!fields.has("data")) continue;
      const event: JobEvent = JSON.parse(fields.get("data")!);
      assertEquals([fields.get("id"), fields.get("event")], [String(event.id), event.kind]);
      events.push(event);
    }
  }
  await reader.cancel();
  return events;
}

Deno.test("a job is made with 201 and its place, and then found under it", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const app = appOf(jobs);
    const response = await post(app, JOBS, { ...TINY, name: "a" });
    assertEquals([response.status, response.headers.get("location")], [201, `${JOBS}/a`]);
    const made = await response.json();
    assertEquals([made.id, made.state, made.config], ["a", "running", { ...TINY, name: "a" }]);
    assertEquals((await (await post(app, JOBS, TINY)).json()).position, 1);
    const trainer = await trainers.next();
    trainer.advance(2);
    await jobs.checkpoint("a");
    const { plan, step, loss } = await get(app, `${JOBS}/a`);
    assertEquals([plan.model.width, step, loss], [32, 2, 5]);
  }));

Deno.test("pause, resume, cancel, checkpoint and sample do what their names say", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const app = appOf(jobs);
    await post(app, JOBS, { ...TINY, name: "a" });
    const trainer = await trainers.next();
    trainer.advance(5);
    const act = async (name: string, body?: unknown) => {
      const response = await post(app, `${JOBS}/a/${name}`, body);
      return [response.status, await response.json()];
    };
    const [saved, checkpoint] = await act("checkpoint");
    assertEquals([saved, checkpoint.step], [200, 5]);
    assertEquals(await act("sample", { prompt: "Ahab", maxTokens: 3 }), [200, { text: "Ahab…" }]);
    assertEquals((await act("sample", { prompt: "" }))[0], 400);
    assertEquals((await act("sample", { prompt: "x", maxTokens: 1e6 }))[0], 400);
    assertEquals((await act("pause"))[1].state, "paused");
    const [status, { error }] = await act("checkpoint");
    assertEquals([status, error.code, error.type], [409, "wrong_state", "invalid_request_error"]);
    assertEquals((await act("resume"))[1].state, "running");
    assertEquals((await act("cancel"))[1].state, "cancelled");
    assertEquals((await act("cancel"))[0], 409);
    assertEquals((await post(app, `${JOBS}/b/pause`)).status, 404);
  }));

Deno.test("lists, figures and logs come in pages that show everything once", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const app = appOf(jobs);
    for (const name of ["a", "b", "c", "d", "e"]) await jobs.create({ ...TINY, name });
    const ids: string[] = [];
    for (let after = "";;) {
      const page = await get(app, `${JOBS}?limit=2${after}`);
      ids.push(...page.jobs.map(({ id }: { id: string }) => id));
      if (!page.next) break;
      after = `&after=${page.next}`;
    }
    assertEquals(ids.join(""), "edcba");
    assertEquals((await get(app, `${JOBS}?state=running`)).jobs.length, 1);
    assertEquals((await get(app, `${JOBS}?after=nobody`, 404)).error.code, "unknown_job");
    const trainer = await trainers.next();
    trainer.advance(14);
    trainer.validate();
    trainer.finish();
    await stateOf(jobs, "a", "finished");
    const steps: { step: number; gradNorm: number | null; validationLoss?: number }[] = [];
    for (let next: number | undefined = 0; next !== undefined;) {
      const page: { metrics: typeof steps; next?: number } = await get(
        app,
        `${JOBS}/a/metrics?after=${next}&limit=5`,
      );
      steps.push(...page.metrics);
      next = page.next;
    }
    assertEquals(steps.map(({ step }) => step), Array.from({ length: 14 }, (_, i) => i + 1));
    assertEquals(steps[6].gradNorm, null, "a number that is not finite");
    assertEquals(steps[13].validationLoss, 11 / 14);
    const { lines, next } = await get(app, `${JOBS}/a/logs?limit=3`);
    assertEquals([lines.length, next], [3, 3]);
    const all = (await get(app, `${JOBS}/a/logs`)).lines.map(({ text }: { text: string }) => text);
    assert(all.includes("step 14: validation loss 0.78571"), all.join("\n"));
    assert(all.every((text: string) => !/undefined|NaN|\[object/.test(text)), all.join("\n"));
  }));

Deno.test("a checkpoint is listed and downloaded whole; nothing but its plain files can be reached", () =>
  withScriptedJobs(async (jobs, trainers, runs) => {
    const app = appOf(jobs);
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    trainer.advance(12);
    await jobs.checkpoint("a");
    const secret = join(runs, "secret");
    await Deno.writeTextFile(secret, "secret");
    await Deno.symlink(secret, join(runs, "a/step-000012/link"));
    await Deno.symlink(join(runs, "a/step-000012"), join(runs, "a/step-000013"));
    await Deno.mkdir(join(runs, "a/step-000012/folder"));
    const { checkpoints } = await get(app, `${JOBS}/a/checkpoints`);
    assertEquals(
      checkpoints.map(({ step, files }: { step: number; files: { name: string }[] }) => [
        step,
        files.map(({ name }) => name),
      ]),
      [[12, ["model.safetensors", "trainer.json"]]],
    );
    const path = `${JOBS}/a/checkpoints/12/model.safetensors`;
    const response = await app.request(path);
    assertEquals(response.headers.get("content-length"), "18");
    assertEquals(await response.text(), "weights of step 12");
    const head = await app.request(path, { method: "HEAD" });
    assertEquals([head.status, head.headers.get("content-length")], [200, "18"]);
    const tricks = [
      "12/link",
      "12/folder",
      "13/model.safetensors",
      "12/..%2F..%2F..%2Fsecret",
      "12/%2e%2e%2f%2e%2e%2fserver.sqlite",
      "12/..",
      "12/model.safetensors%00",
      "12/" + encodeURIComponent(secret),
      "11/model.safetensors",
      "-1/model.safetensors",
      "1e1/model.safetensors",
      "99999999999999999999/model.safetensors",
      "..%2F..%2Fa/model.safetensors",
    ];
    for (const trick of tricks) {
      const refused = await app.request(`${JOBS}/a/checkpoints/${trick}`);
      assert([400, 404].includes(refused.status), `${trick}: ${refused.status}`);
      assert(!(await refused.text()).startsWith("secret"));
    }
    for (const id of ["..", "%2e%2e", "..%2F..%2Fetc", "a%2F..%2Fa", "server.sqlite", "a%00"]) {
      assertEquals((await app.request(`${JOBS}/${id}/checkpoints`)).status, 404, id);
    }
  }));

Deno.test("events come with ids, in order, and the stream ends with the job; then there is nothing to reconnect to", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const app = appOf(jobs);
    await jobs.create({ ...TINY, name: "a" });
    const trainer = await trainers.next();
    const reading = readEvents(await app.request(`${JOBS}/a/events`));
    trainer.advance(300);
    trainer.finish();
    const events = await reading;
    assertEquals(events, [...jobs.events("a", {})]);
    assertEquals(events.at(-1)!.data, { state: "finished" });
    const last = String(events.length);
    const after = (headers: HeadersInit, query = "") => app.request(`${JOBS}/a/events${query}`, { headers });
    assertEquals((await after({ "last-event-id": last })).status, 204);
    assertEquals((await after({}, `?after=${last}`)).status, 204);
    assertEquals((await readEvents(await after({ "last-event-id": "299" }, "?after=5")))[0].id, 300);
    assertEquals((await after({ "last-event-id": "x" })).status, 400);
    assertEquals((await after({}, "?after=-1")).status, 400);
    assertEquals((await app.request(`${JOBS}/b/events`)).status, 404);
    const head = await app.request(`${JOBS}/a/events`, { method: "HEAD" });
    assertEquals([head.status, head.body], [200, null]);
  }));

Deno.test("a client that loses its connection again and again misses no event and sees none twice", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const seed = 20260131;
    const random = new Prng(seed);
    const app = appOf(jobs);
    await jobs.create({ ...TINY, name: "a", steps: 1000 });
    let trainer = await trainers.next();
    const running = (async () => {
      while (trainer.step < 1000) {
        trainer.advance(Math.min(random.integer(1, 40), 1000 - trainer.step));
        if (random.chance(0.1)) trainer.validate();
        if (random.chance(0.05)) {
          trainer.save();
          trainer.fail("gone", "device-lost");
          trainer = await trainers.next();
        }
        await new Promise((resolve) => setTimeout(resolve, random.integer(0, 20)));
      }
      trainer.finish();
    })();
    const seen: JobEvent[] = [];
    for (let connections = 0;; connections++) {
      const headers: Record<string, string> = seen.length > 0
        ? { "last-event-id": String(seen.at(-1)!.id) }
        : {};
      const response = await app.request(`${JOBS}/a/events`, { headers });
      if (response.status === 204) {
        assert(connections > 10, "the test has not reconnected");
        break;
      }
      seen.push(...await readEvents(response, random.integer(1, 60)));
    }
    await running;
    assertEquals(seen.map(({ id }) => id), seen.map((_, i) => i + 1), `seed ${seed}`);
    assertEquals(seen, [...jobs.events("a", {})], `seed ${seed}`);
  }));

Deno.test("a quiet stream says that it is alive, and a client that leaves is forgotten", () =>
  withScriptedJobs(async (jobs, trainers) => {
    const app = appOf(jobs, { heartbeatMs: 10 });
    await jobs.create({ ...TINY, name: "a" });
    await trainers.next();
    const response = await app.request(`${JOBS}/a/events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (text.split(": still here").length < 4) text += (await reader.read()).value;
    await reader.cancel();
  }));

Deno.test("two hundred spoiled requests are refused or carried out, and none is an error of the server", () =>
  withScriptedJobs(async (jobs) => {
    const seed = 404;
    const random = new Prng(seed);
    const app = appOf(jobs);
    await jobs.create({ ...TINY, name: "a" });
    const good: Record<string, unknown> = {
      ...TINY,
      name: "x",
      steps: 10,
      batchTokens: 64,
      data: "moby-dick",
      memory: "1GB",
      learningRate: 0.1,
      dtype: "f32",
      tune: "auto",
      seed: 1,
      saveEvery: 0,
    };
    const odd = [
      null,
      true,
      -1,
      0,
      1.5,
      1e308,
      2 ** 53,
      "",
      "../..",
      "\u0000",
      "x".repeat(5000),
      [],
      [[]],
      {},
      {
        a: 1,
      },
      "text:/etc/passwd",
      "NaN",
      "f16",
      1025,
      "9".repeat(400) + "GB",
    ];
    for (let i = 0; i < 200; i++) {
      const config: Record<string, unknown> = { ...good };
      for (let changes = random.integer(1, 3); changes > 0; changes--) {
        const field = random.pick([...Object.keys(good), "extra", "constructor"]);
        if (random.chance(0.2)) delete config[field];
        else config[field] = random.pick(odd);
      }
      let body = JSON.stringify(config);
      if (random.chance(0.2)) body = body.slice(0, random.integer(0, body.length));
      if (random.chance(0.1)) body = random.pick(["null", "[]", '"x"', "1e999", "{", body + body]);
      const method = random.chance(0.9) ? "POST" : random.pick(["PUT", "PATCH", "DELETE"]);
      const paths = [
        JOBS,
        JOBS,
        JOBS,
        `${JOBS}/a/sample`,
        `${JOBS}/%ff/pause`,
        `${JOBS}/${"y".repeat(3000)}/cancel`,
      ];
      const type = random.chance(0.9) ? "application/json" : "text/plain";
      const path = random.pick(paths);
      const response = await app.request(path, { method, body, headers: { "content-type": type } });
      const text = await response.text();
      assert(response.status < 500, `seed ${seed}, request ${i}: ${method} ${path} ${body}: ${text}`);
    }
  }, { maxQueued: 1000 }));
