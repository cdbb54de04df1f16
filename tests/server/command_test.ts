/**
 * `deno task serve` as a process: its first screen, its log, how it ends.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { jsonLines, LineReader, run, start, withFolder } from "../model/command.ts";

/** A server process on a free port, ready to generate. */
async function withServer(
  flags: readonly string[],
  body: (url: string, process: Deno.ChildProcess, screen: LineReader) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const process = start("serve", ["--port=0", `--runs=${folder}`, ...flags]);
    const screen = new LineReader(process.stdout);
    try {
      const url = (await screen.until("listens at"))?.match(/http:\S+/)?.[0];
      if (!url) throw new Error("the server did not come up");
      await body(url, process, screen);
    } finally {
      try {
        process.kill("SIGKILL");
      } catch {
        // it has ended, as it should
      }
      await process.status;
    }
  });
}

/** Everything that the process wrote to standard error; resolves at its end. */
async function textOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return await new Response(stream).text();
}

Deno.test("serve answers, logs JSON lines, and ends with code 0 when it is asked to", async () => {
  await withServer(["--log-format=json"], async (url, process, screen) => {
    const log = textOf(process.stderr);
    assertEquals(await (await fetch(`${url}/healthz`)).json(), { status: "ok" });
    assertEquals((await (await fetch(`${url}/readyz`)).json()).status, "ready");
    assertMatch(await screen.until("adapter") ?? "", /adapter +\w/);
    assertMatch(await screen.until("models") ?? "", /none in .* yet: start a job at http/);
    process.kill("SIGTERM");
    await screen.rest();
    assertEquals((await process.status).code, 0);
    const requests = jsonLines(await log).filter(({ message }) => message === "request");
    assertEquals(requests.map(({ path, status }) => [path, status]), [["/healthz", 200], ["/readyz", 200]]);
  });
});

Deno.test("a second Ctrl-C ends a server at once that still waits for a client", async () => {
  await withServer([], async (url, process, screen) => {
    const { hostname, port } = new URL(url);
    using client = await Deno.connect({ hostname, port: Number(port) });
    const half = "POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{";
    await client.write(new TextEncoder().encode(half));
    // The answer to a later request says that the first one has been seen.
    await (await fetch(`${url}/healthz`)).text();
    process.kill("SIGINT");
    assert(await screen.until("stopping"));
    const ended = process.status;
    const again = setInterval(() => process.kill("SIGINT"), 400);
    assertEquals((await ended).code, 130);
    clearInterval(again);
    await Promise.all([screen.rest(), process.stderr.cancel()]);
  });
});

Deno.test("serve refuses a taken port, and a host for others without tokens, with one line and code 2", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  await withFolder(async (folder) => {
    for (const flags of [[`--port=${port}`], ["--host=0.0.0.0", "--port=0"], ["--host=10.99.99.99"]]) {
      const { code, stdout, stderr } = await run("serve", [`--runs=${folder}/runs`, ...flags]);
      assertEquals([code, stdout], [2, ""], stderr);
      assertMatch(stderr, /^error: --(port|host) .*\n$/);
    }
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  });
});
