/**
 * The port: opened before anything else is, so that a port that is taken costs nothing, and closed in order.
 *
 * @module
 */
import { InputError } from "../model/mod.ts";

/** Answers requests. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** An open port. */
export interface Listening {
  /** Where it can be reached: with the real port, and a name that a browser can open. */
  readonly url: string;
  /** Sets who answers; until then requests wait for it. */
  answerWith(handler: Handler): void;
  /** Takes no more connections; resolves when every answer has been sent. */
  close(): Promise<void>;
}

/**
 * Opens a port.
 *
 * @throws {InputError} when it cannot be had.
 */
export function listen(host: string, port: number): Listening {
  const handler = Promise.withResolvers<Handler>();
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve(
      // What fails after an answer has begun is in the log already, with its request.
      { hostname: host, port, onListen: () => {}, onError: () => new Response(null, { status: 500 }) },
      async (request) => await (await handler.promise)(request),
    );
  } catch (problem) {
    throw refusal(problem, host, port);
  }
  const shown = host === "0.0.0.0"
    ? "127.0.0.1"
    : host === "::"
    ? "[::1]"
    : host.includes(":")
    ? `[${host}]`
    : host;
  return {
    url: `http://${shown}:${server.addr.port}`,
    answerWith: (given) => handler.resolve(given),
    close: () => server.shutdown(),
  };
}

/** What the system says about a port, for the user. */
function refusal(problem: unknown, host: string, port: number): unknown {
  const { errors } = Deno;
  if (problem instanceof errors.AddrInUse) {
    return new InputError(
      `--port ${port}`,
      "something listens there already",
      "take another one, or 0 for any",
    );
  }
  if (problem instanceof errors.NotCapable) {
    const remedy = "take 127.0.0.1, ::1, 0.0.0.0 or ::, or add the address to --allow-net of the task";
    return new InputError(`--host ${host}`, "the task may not listen there", remedy);
  }
  if (problem instanceof errors.PermissionDenied) {
    return new InputError(`--port ${port}`, "the system does not allow it", "take one from 1024");
  }
  if (problem instanceof Error) {
    const why = problem.message.split("\n")[0];
    return new InputError(
      `--host ${host}`,
      `it cannot be listened on (${why})`,
      "give an address of this machine",
    );
  }
  return problem;
}
