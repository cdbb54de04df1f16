/**
 * `/v1/training/…`: jobs are made, watched and steered here. The routes know the service only, so they need no GPU.
 *
 * @module
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { ZodError } from "zod";
import { ApiError } from "../http/error.ts";
import { invalidInput } from "../http/error_handler.ts";
import { refusalSchema } from "../http/refusal_schema.ts";
import type { Job, TrainingService } from "../services.ts";
import { streamEvents } from "./event_stream.ts";
import { isOver } from "./journal.ts";
import { logLine } from "./log_lines.ts";
import {
  checkpointListSchema,
  checkpointSchema,
  jobConfigSchema,
  jobListQuerySchema,
  jobListSchema,
  jobSchema,
  logsSchema,
  metricsSchema,
  pageQuerySchema,
  sampleRequestSchema,
  sampleSchema,
} from "./schemas.ts";

/** How the routes behave. */
export interface TrainingRoutesOptions {
  /** Milliseconds between comments in a quiet stream of events; 15 s by default. */
  readonly heartbeatMs?: number;
}

const JOBS = "/v1/training/jobs";
const HEARTBEAT_MS = 15_000;
const JOBS_PAGE = 50;
const PAGE = 200;

const tags = ["training"];
const jobParams = z.object({ id: z.string().min(1).max(200).openapi({ example: "first" }) });
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  content: { "application/json": { schema } },
  description,
});
const refusals = {
  400: json(refusalSchema, "Something in the request is wrong; `param` names it."),
  404: json(refusalSchema, "There is no such job."),
};
const conflict = { 409: json(refusalSchema, "The job's state does not allow it.") };
const binary = z.string().openapi({ format: "binary" });

const createJob = createRoute({
  method: "post",
  path: JOBS,
  tags,
  summary: "Queue a job",
  request: { body: { ...json(jobConfigSchema, "What to train."), required: true } },
  responses: {
    201: {
      ...json(jobSchema, "It is queued, or runs already."),
      headers: z.object({ Location: z.string() }),
    },
    400: refusals[400],
    409: json(refusalSchema, "There is a run of that name."),
    429: json(refusalSchema, "Too many jobs wait."),
  },
});

const listJobs = createRoute({
  method: "get",
  path: JOBS,
  tags,
  summary: "List jobs, newest first",
  request: { query: jobListQuerySchema },
  responses: { 200: json(jobListSchema, "A page of jobs."), ...refusals },
});

const getJob = createRoute({
  method: "get",
  path: `${JOBS}/{id}`,
  tags,
  summary: "Get a job",
  request: { params: jobParams },
  responses: { 200: json(jobSchema, "The job."), ...refusals },
});

const action = <Name extends string>(name: Name, summary: string) =>
  createRoute({
    method: "post",
    path: `${JOBS}/{id}/${name}`,
    tags,
    summary,
    request: { params: jobParams },
    responses: { 200: json(jobSchema, "The job as it is now."), ...refusals, ...conflict },
  });

const pauseJob = action("pause", "Save, and give the device up");
const resumeJob = action("resume", "Queue a paused or failed job again");
const cancelJob = action("cancel", "End a job; its checkpoints stay");

const crowded = { 429: json(refusalSchema, "The job has too many checkpoints and samples to make already.") };

const saveJob = createRoute({
  method: "post",
  path: `${JOBS}/{id}/checkpoint`,
  tags,
  summary: "Save a checkpoint now",
  request: { params: jobParams },
  responses: { 200: json(checkpointSchema, "It is on the disk."), ...refusals, ...conflict, ...crowded },
});

const sampleJob = createRoute({
  method: "post",
  path: `${JOBS}/{id}/sample`,
  tags,
  summary: "Continue a prompt with the weights as they are now",
  request: { params: jobParams, body: { ...json(sampleRequestSchema, "The prompt."), required: true } },
  responses: { 200: json(sampleSchema, "The text."), ...refusals, ...conflict, ...crowded },
});

const jobEvents = createRoute({
  method: "get",
  path: `${JOBS}/{id}/events`,
  tags,
  summary: "Follow a job",
  description:
    "Server-sent events: all that happened after the given id, then what happens, until the job is over. A client " +
    "that reconnects sends the last id that it has seen and misses nothing. 204 says that nothing will follow.",
  request: {
    params: jobParams,
    query: z.object({
      after: pageQuerySchema.shape.after.openapi({
        type: "integer",
        description: "Only events with larger ids; the header wins.",
      }),
    }),
    headers: z.object({
      "last-event-id": z.string().optional().openapi({ description: "Id of the last event that was seen." }),
    }),
  },
  responses: {
    200: { content: { "text/event-stream": { schema: z.string() } }, description: "The events." },
    204: { description: "The job is over and all of its events have been seen." },
    ...refusals,
  },
});

const jobMetrics = createRoute({
  method: "get",
  path: `${JOBS}/{id}/metrics`,
  tags,
  summary: "Figures of steps, oldest first",
  request: { params: jobParams, query: pageQuerySchema },
  responses: { 200: json(metricsSchema, "A page; `after` counts steps."), ...refusals },
});

const jobLogs = createRoute({
  method: "get",
  path: `${JOBS}/{id}/logs`,
  tags,
  summary: "What happened, in lines of text, oldest first",
  request: { params: jobParams, query: pageQuerySchema },
  responses: { 200: json(logsSchema, "A page; `after` counts events."), ...refusals },
});

const jobCheckpoints = createRoute({
  method: "get",
  path: `${JOBS}/{id}/checkpoints`,
  tags,
  summary: "List checkpoints, newest first",
  request: { params: jobParams },
  responses: { 200: json(checkpointListSchema, "All of them."), ...refusals },
});

const checkpointFile = createRoute({
  method: "get",
  path: `${JOBS}/{id}/checkpoints/{step}/{file}`,
  tags,
  summary: "Download a checkpoint's file",
  request: {
    params: jobParams.extend({
      step: z.string().regex(/^\d{1,15}$/, "give a whole number").transform(Number).openapi({
        type: "integer",
      }),
      file: z.string().min(1).max(200).openapi({ example: "model.safetensors" }),
    }),
  },
  responses: {
    200: { content: { "application/octet-stream": { schema: binary } }, description: "The file." },
    ...refusals,
  },
});

/** The routes of training. */
export function trainingRoutes(
  training: TrainingService,
  { heartbeatMs = HEARTBEAT_MS }: TrainingRoutesOptions = {},
): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error as ZodError);
    },
  });

  app.openapi(createJob, async (context) => {
    const job = await training.create(context.req.valid("json"));
    return context.json(shown(job), 201, { Location: `${JOBS}/${job.id}` });
  });
  app.openapi(listJobs, (context) => {
    const { after, limit = JOBS_PAGE, state } = context.req.valid("query");
    const jobs = training.list({ after, limit: limit + 1, states: state && [state] }).map(shown);
    const page = jobs.slice(0, limit);
    return context.json({ jobs: page, ...jobs.length > limit && { next: page.at(-1)!.id } }, 200);
  });
  app.openapi(getJob, (context) => context.json(shown(training.get(context.req.valid("param").id)), 200));
  app.openapi(
    pauseJob,
    async (context) => context.json(shown(await training.pause(context.req.valid("param").id)), 200),
  );
  app.openapi(
    resumeJob,
    async (context) => context.json(shown(await training.resume(context.req.valid("param").id)), 200),
  );
  app.openapi(
    cancelJob,
    async (context) => context.json(shown(await training.cancel(context.req.valid("param").id)), 200),
  );
  app.openapi(saveJob, async (context) => {
    const { files, ...checkpoint } = await training.checkpoint(context.req.valid("param").id);
    return context.json({ ...checkpoint, files: [...files] }, 200);
  });
  app.openapi(sampleJob, async (context) => {
    const text = await training.sample(context.req.valid("param").id, context.req.valid("json"));
    return context.json({ text }, 200);
  });

  app.openapi(jobEvents, (context) => {
    const { id } = context.req.valid("param");
    const seen = context.req.valid("header")["last-event-id"];
    const after = seen === undefined ? context.req.valid("query").after ?? 0 : eventId(seen);
    const isSeen = isOver(training.get(id).state) && training.events(id, { after, limit: 1 }).length === 0;
    // A browser reconnects whenever a stream ends, unless it is told that there is none.
    if (isSeen) return context.body(null, 204);
    if (context.req.method === "HEAD") {
      return context.body(null, 200, { "Content-Type": "text/event-stream" });
    }
    return streamEvents(context, (signal) => training.follow(id, after, signal), heartbeatMs);
  });

  app.openapi(jobMetrics, (context) => {
    const { after, limit = PAGE } = context.req.valid("query");
    const metrics = [...training.metrics(context.req.valid("param").id, { after, limit: limit + 1 })];
    const page = metrics.slice(0, limit);
    return context.json({ metrics: page, ...metrics.length > limit && { next: page.at(-1)!.step } }, 200);
  });
  app.openapi(jobLogs, (context) => {
    const { after, limit = PAGE } = context.req.valid("query");
    const events = training.events(context.req.valid("param").id, { after, limit: limit + 1 });
    const page = events.slice(0, limit);
    const lines = page.map((event) => ({ id: event.id, time: event.time, text: logLine(event) }));
    return context.json({ lines, ...events.length > limit && { next: page.at(-1)!.id } }, 200);
  });

  app.openapi(jobCheckpoints, async (context) => {
    const found = await training.checkpoints(context.req.valid("param").id);
    const checkpoints = found.map(({ files, ...checkpoint }) => ({ ...checkpoint, files: [...files] }));
    return context.json({ checkpoints }, 200);
  });
  app.openapi(checkpointFile, async (context) => {
    const { id, step, file: name } = context.req.valid("param");
    const file = await open(await training.checkpointFile(id, step, name));
    const { size } = await file.stat();
    context.header("Content-Length", String(size));
    context.header("Content-Type", name.endsWith(".json") ? "application/json" : "application/octet-stream");
    context.header(
      "Content-Disposition",
      `attachment; filename="${id}-${step}-${name.replace(/[^\w.-]/g, "_")}"`,
    );
    if (context.req.method !== "HEAD") return context.body(file.readable, 200);
    file.close();
    return context.body(null, 200);
  });
  return app;
}

/** A job for a response, whose arrays and records may be written to. */
function shown({ config, plan, ...job }: Job) {
  return { ...job, config: { ...config }, ...plan && { plan: { ...plan } } };
}

function eventId(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApiError(
    400,
    "invalid_value",
    "Last-Event-ID: not the id of an event; leave it out to get all events.",
    {
      param: "Last-Event-ID",
    },
  );
}

/** A checkpoint may go while somebody asks for it. */
async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (problem) {
    if (!(problem instanceof Deno.errors.NotFound)) throw problem;
    throw new ApiError(404, "unknown_file", "The checkpoint has been removed meanwhile; list them again.");
  }
}
