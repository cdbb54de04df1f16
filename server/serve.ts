/**
 * The server from its start to its end: opens the port, opens what is behind it, answers, and goes down in order.
 *
 * Going down: `/readyz` says so and nothing new is begun; streams that follow a job end; answers that are being
 * generated get some seconds to finish while the running job saves a checkpoint; then the process ends.
 *
 * @module
 */
import { deadline } from "@std/async/deadline";
import { createApp } from "./app.ts";
import type { Backend, OpenBackend } from "./backend.ts";
import { Access } from "./http/access.ts";
import { Log } from "./http/log.ts";
import { listen, type Listening } from "./listen.ts";
import { Lifecycle } from "./operations/lifecycle.ts";
import { Metrics } from "./operations/metrics.ts";
import type { ServeOptions } from "./options.ts";
import type { JobEvent } from "./services.ts";
import { welcome } from "./welcome.ts";

/** Time that the first screen waits for the device, in milliseconds. */
const ADAPTER_MS = 5000;

/** Time after the last answer for connections to close, in milliseconds. */
const CLOSE_MS = 1000;

/** A server that answers. */
export interface Server {
  readonly url: string;
  /** The first screen. */
  readonly welcome: string;
  /** Goes down in order; resolves when everything that matters is on disk. */
  stop(): Promise<void>;
}

/**
 * Starts the server.
 *
 * @param log Standard error, unless a test wants to read it.
 * @throws {InputError} when the port or the folder of runs cannot be had.
 */
export async function startServer(
  options: ServeOptions,
  openBackend: OpenBackend,
  log: Log = new Log(options.logFormat),
): Promise<Server> {
  const port = listen(options.host, options.port);
  const lifecycle = new Lifecycle();
  // The backend may speak before there are metrics to hear it.
  let hear: (event: JobEvent) => void = () => {};
  const backend = await openBackend(options, {
    onUp: (isUp) => lifecycle.setUp(isUp),
    onJobEvent: (event) => hear(event),
    onNote: (message) => log.note(message),
    onProblem: (problem) => log.problem(problem),
  }).catch(async (problem) => {
    port.answerWith(() => new Response(null, { status: 503 }));
    await port.close();
    throw problem;
  });
  const { services } = backend;
  const metrics = new Metrics(services);
  hear = (event) => metrics.training.record(event);
  metrics.thread.start();
  const app = createApp(services, {
    access: new Access(options.tokens),
    loopbackOnly: options.isLocal,
    cors: options.cors,
    log,
    metrics,
    lifecycle,
  });
  port.answerWith((request) => app.fetch(request));
  const adapter = await deadline(backend.adapter, ADAPTER_MS).catch(() => "not ready yet");
  const models = await services.generation.models();
  const { running, queued } = services.training.counts();
  return {
    url: port.url,
    welcome: welcome({ url: port.url, adapter, models, jobs: running + queued }, options),
    stop: async () => {
      lifecycle.drain();
      await goDown(port, backend, options.drainSeconds * 1000, log);
      metrics.thread.stop();
    },
  };
}

/** Ends answers, jobs and connections, none of them waiting for another. */
async function goDown(port: Listening, backend: Backend, drainMs: number, log: Log): Promise<void> {
  const steps: [whatIfNot: string, step: Promise<void>][] = [
    ["the running job could not be saved", backend.closeTraining()],
    ["generation did not end in order", backend.closeGeneration(drainMs)],
    ["answers were cut off", deadline(port.close(), drainMs + CLOSE_MS)],
  ];
  await Promise.all(steps.map(([whatIfNot, step]) =>
    step.catch((problem) => {
      const reason = problem instanceof Error ? problem.message : String(problem);
      log.note(whatIfNot, { reason });
    })
  ));
}
