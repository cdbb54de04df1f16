/**
 * `deno task serve`: the compute server on this machine's port.
 *
 * @module
 */
import { INTERRUPTED, runCommand } from "../model/commands/exit.ts";
import { onInterrupt } from "../model/commands/interrupt.ts";
import { ensureAdapter } from "../runtime/adapter.ts";
import { Log } from "./http/log.ts";
import { openBackend } from "./open_backend.ts";
import { serveHelp, serveOptions } from "./options.ts";
import { startServer } from "./serve.ts";

async function main(args: readonly string[]): Promise<number> {
  const options = serveOptions(args, (name) => Deno.env.get(name));
  if (!options) {
    console.log(serveHelp());
    return 0;
  }
  await ensureAdapter();
  const log = new Log(options.logFormat);
  outliveStrayFailures(log);
  const interrupted = Promise.withResolvers<void>();
  onInterrupt(() => interrupted.resolve(), () => Deno.exit(INTERRUPTED));
  const server = await startServer(options, openBackend, log);
  console.log(server.welcome);
  await interrupted.promise;
  console.log("stopping: answers are finished and the running job is saved; Ctrl-C again ends at once");
  await server.stop();
  return 0;
}

/** A promise that fails with nobody waiting for it goes to the log; it would end the process, and every answer with it. */
function outliveStrayFailures(log: Log): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.problem(event.reason, { during: "nothing that waits for it" });
  });
}

if (import.meta.main) await runCommand(() => main(Deno.args));
