/**
 * A server of the benchmark's own: a process on any free port, with a folder of runs that is thrown away.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { metric } from "./client.ts";

/** A running server. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly runs: string;
  /** Bytes of memory that the process has resident. */
  residentBytes(): Promise<number>;
}

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/**
 * Starts a server.
 *
 * @throws {Error} when it does not come up.
 */
export async function startServer(runs: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const [, ...task] = (tasks.serve as string).split(" ");
  const process = new Deno.Command("deno", {
    args: [...task, "--port", "0", "--runs", runs, "--log-format", "json", ...flags],
    cwd: ROOT,
    stdout: "piped",
    stderr: "null",
    env: { NO_COLOR: "1" },
  }).spawn();
  let head = "";
  let url: string | undefined;
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (url === undefined) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the server did not start: ${head}`);
    head += value;
    url = head.match(/listens at (\S+)/)?.[1];
  }
  (async () => {
    while (!(await reader.read()).done);
  })();
  const address = url;
  return {
    url,
    runs,
    residentBytes: () => metric(address, "process_resident_memory_bytes"),
    [Symbol.asyncDispose]: async () => {
      process.kill("SIGTERM");
      await process.status;
    },
  };
}
