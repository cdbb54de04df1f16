/**
 * Jobs in a folder of their own, for tests.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { join } from "@std/path";
import { errorHandler } from "../../../server/http/error_handler.ts";
import type { ShellEnv } from "../../../server/http/context.ts";
import type { Job, JobEvent, TrainingService } from "../../../server/services.ts";
import { trainingRoutes, type TrainingRoutesOptions } from "../../../server/training/routes.ts";
import { TrainingJobs, type TrainingJobsOptions } from "../../../server/training/service.ts";
import { ScriptedTrainers } from "./scripted_trainer.ts";

/** A model that compiles and trains in a moment. */
export const TINY = { preset: "nano", layers: 1, width: 32, heads: 2, context: 16, microBatch: 2 } as const;

/** Runs a test with a folder for runs, which is gone afterwards. */
export async function withRuns(test: (runs: string) => Promise<void>): Promise<void> {
  const runs = await Deno.makeTempDir({ prefix: "sinter-runs-" });
  try {
    await test(runs);
  } finally {
    await Deno.remove(runs, { recursive: true });
  }
}

/** Opens the jobs of a folder. */
export function openJobs(runs: string, options: Partial<TrainingJobsOptions> = {}): Promise<TrainingJobs> {
  const onProblem = (problem: unknown) => console.error("the jobs report:", problem);
  return TrainingJobs.open({ runs, database: join(runs, "server.sqlite"), onProblem, ...options });
}

/** Runs a test with jobs whose trainers do what the test says. */
export async function withScriptedJobs(
  test: (jobs: TrainingJobs, trainers: ScriptedTrainers, runs: string) => Promise<void>,
  options: Partial<TrainingJobsOptions> = {},
): Promise<void> {
  await withRuns(async (runs) => {
    const trainers = new ScriptedTrainers();
    const jobs = await openJobs(runs, { makeTrainer: trainers.make, ...options });
    try {
      await test(jobs, trainers, runs);
    } finally {
      await jobs.close({ withinMs: 0 });
    }
  });
}

/** The routes under the shell's handler of errors; a 500 fails the test that caused it. */
export function appOf(service: TrainingService, options?: TrainingRoutesOptions): OpenAPIHono<ShellEnv> {
  const app = new OpenAPIHono<ShellEnv>();
  app.onError(errorHandler((problem) => console.error("a route threw:", problem)));
  app.route("/", trainingRoutes(service, options));
  return app;
}

/** Sends JSON. */
export function post(app: OpenAPIHono<ShellEnv>, path: string, body?: unknown): Promise<Response> {
  const json = body === undefined
    ? {}
    : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return Promise.resolve(app.request(path, { method: "POST", ...json }));
}

/** Waits for an event of a job that `test` accepts, from the beginning on. */
export async function eventOf(
  jobs: TrainingService,
  id: string,
  test: (event: JobEvent) => boolean,
): Promise<JobEvent> {
  for await (const event of jobs.follow(id, 0, new AbortController().signal)) if (test(event)) return event;
  throw new Error(`job ${id} ended without the event: ${JSON.stringify(jobs.events(id, {}).slice(-5))}`);
}

/** Waits until a job is in a state. */
export async function stateOf(jobs: TrainingService, id: string, state: Job["state"]): Promise<Job> {
  const after = jobs.events(id, {}).length;
  if (jobs.get(id).state !== state) {
    for await (const { kind, data } of jobs.follow(id, after, new AbortController().signal)) {
      if (kind === "state" && data.state === state) break;
    }
  }
  return jobs.get(id);
}
