/**
 * A whole server over fakes: its start, its first screen, its end.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { InputError } from "../../model/mod.ts";
import type { Backend, OpenBackend } from "../../server/backend.ts";
import { type ServeOptions, serveOptions } from "../../server/options.ts";
import { type Server, startServer } from "../../server/serve.ts";
import { Log } from "../../server/mod.ts";
import { type FakeServices, fakeServices } from "./fakes.ts";
import { post } from "./support.ts";

/** A server over fakes, and what was asked of the backend. */
interface Started {
  readonly server: Server;
  readonly services: FakeServices;
  readonly asked: string[];
  readonly lines: Record<string, unknown>[];
}

async function withServer(
  flags: readonly string[],
  body: (started: Started) => Promise<void>,
  services: FakeServices = fakeServices({ tokenMs: 5 }),
): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-test-" });
  const asked: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const log = new Log("json", (line) => lines.push(JSON.parse(line)));
  const open: OpenBackend = (_, { onUp }) => {
    onUp(true);
    const backend: Backend = {
      services,
      adapter: Promise.resolve("a fake"),
      closeTraining: () => Promise.resolve(void asked.push("save the job")),
      closeGeneration: (ms) => Promise.resolve(void asked.push(`drain for ${ms} ms`)),
    };
    return Promise.resolve(backend);
  };
  const server = await startServer(optionsOf(["--port", "0", "--runs", runs, ...flags]), open, log);
  try {
    await body({ server, services, asked, lines });
  } finally {
    if (asked.length === 0) await server.stop();
    await Deno.remove(runs, { recursive: true });
  }
}

function optionsOf(args: readonly string[]): ServeOptions {
  return serveOptions(args, () => undefined)!;
}

const never: OpenBackend = () => Promise.reject(new Error("the backend was opened"));

Deno.test("the first screen says where the server is, what it runs on and which models there are", async () => {
  await withServer([], ({ server }) => {
    assertMatch(server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assertStringIncludes(server.welcome, `listens at ${server.url}`);
    assertStringIncludes(server.welcome, `${server.url}/ (dashboard)`);
    assertMatch(server.welcome, /adapter +a fake/);
    assertMatch(server.welcome, /models +first \(step 60\)/);
    assertMatch(server.welcome, /access +open, to this machine only/);
    return Promise.resolve();
  });
});

Deno.test("a port that is taken is one clear line, and nothing behind it is started", async () => {
  await withServer([], async ({ server }) => {
    const { port } = new URL(server.url);
    const options = optionsOf(["--port", port, "--runs", "/nonexistent"]);
    const problem = await assertRejects(() => startServer(options, never), InputError);
    assertEquals(problem.input, `--port ${port}`);
  });
});

Deno.test("going down ends the streams that follow a job, saves it, and closes the port", async () => {
  await withServer(["--drain-seconds", "7"], async ({ server, services, asked, lines }) => {
    const { id } = await services.training.create({});
    const response = await fetch(`${server.url}/v1/training/jobs/${id}/events`);
    const text = response.text();
    await server.stop();
    assertStringIncludes(await text, '"state":"running"');
    assertEquals(asked, ["save the job", "drain for 7000 ms"]);
    await assertRejects(() => fetch(`${server.url}/healthz`));
    assertEquals(lines.filter(({ message }) => message !== "request"), []);
  });
});

Deno.test("an answer that is under way when the server goes down is sent to its end", async () => {
  await withServer([], async ({ server }) => {
    const body = { prompt: "The whale", maxTokens: 40, stream: true };
    const response = await fetch(`${server.url}/generate`, post(body));
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { value: first } = await reader.read();
    const stopped = server.stop();
    let text = first ?? "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    await stopped;
    assertEquals(text.match(/^event: token$/mg)?.length, 40);
    assertMatch(text, /event: end\ndata: \{.*"completionTokens":40/);
  });
});
