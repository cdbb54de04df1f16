/**
 * What requests to train may say, and what is answered: the shapes of `/v1/training/…`. A job's configuration has the
 * fields of `deno task train`'s flags in camelCase, without those that name files: no path out of a request is opened.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { PRECISIONS } from "../../model/precision.ts";
import { REFERENCE_NAMES } from "../../model/run/reference_curves.ts";
import { MODE_NAMES, VALIDATION_BATCHES } from "../../model/run_options.ts";
import { SCHEDULE_SHAPES } from "../../model/schedule.ts";
import { TUNE_NAMES } from "../../model/tuning.ts";
import { PRESET_NAMES } from "../../model/config.ts";
import { TOKENIZERS } from "../../data/mod.ts";

/** Texts that jobs can be trained on. */
export const JOB_DATA = ["moby-dick", "shakespeare"] as const;
/** Names of jobs: also directories, and models. */
export const JOB_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** States of jobs. */
export const JOB_STATES = ["queued", "running", "paused", "finished", "failed", "cancelled"] as const;
/** Longest prompt of a sample, in characters. */
const PROMPT_CHARACTERS = 4096;
/** Most that a count can be, as on the command line. */
const MANY = 2 ** 31 - 1;

const count = (description: string) => z.int().min(1).max(MANY).openapi({ description });
const interval = (what: string) =>
  z.int().min(0).max(MANY).openapi({ description: `Steps between ${what}; 0: never.` });

/** What a job is asked for; everything may be left out. */
export const jobConfigSchema = z.strictObject({
  name: z.string().regex(
    JOB_NAME,
    "use at most 64 letters, digits, - and _, beginning with a letter or digit",
  )
    .openapi({ description: "Id of the job, and name of the model; left out: made from the time." }),
  preset: z.enum(PRESET_NAMES).openapi({
    description: "Model; left out: nano on a processor, gpt2 on a GPU.",
  }),
  layers: count("Transformer blocks, in place of the preset's."),
  width: count("Channels, in place of the preset's."),
  heads: count("Attention heads; they divide the width."),
  context: count("Tokens that the model looks at; at most 1024."),
  tokenizer: z.enum(TOKENIZERS).openapi({ description: "Left out: bytes for nano, otherwise gpt2." }),
  data: z.enum(JOB_DATA, {
    error: ({ input }) =>
      typeof input === "string" && input.startsWith("text:")
        ? `a server opens no files for its clients; name one of ${JOB_DATA.join(", ")}`
        : undefined,
  }).openapi({ description: "Text to train on; left out: moby-dick." }),
  steps: count("Optimizer steps of the whole run."),
  microBatch: count("Sequences that pass through the model at once."),
  batchTokens: count("Tokens of an optimizer step, reached by accumulating micro batches."),
  learningRate: z.number().gt(0).max(1).openapi({ description: "Peak learning rate." }),
  schedule: z.enum(SCHEDULE_SHAPES).openapi({
    description: "How the learning rate falls after its warm-up; left out: cosine.",
  }),
  warmup: z.int().min(0).max(MANY).openapi({ description: "Steps of warm-up; left out: 3.75% of the run." }),
  minLearningRate: z.number().min(0).max(1).openapi({
    description: "Learning rate at the end; left out: a tenth of the peak.",
  }),
  seed: z.int().min(0).max(2 ** 32 - 1).openapi({ description: "Seed of weights, batches and samples." }),
  dtype: z.enum(PRECISIONS).openapi({ description: "What matrix products read and write." }),
  mode: z.enum(MODE_NAMES).openapi({ description: "Fused kernels, or one kernel for each operation." }),
  memory: z.string().max(32).openapi({
    description: "Most memory for a step, with MB, GB, MiB or GiB.",
    example: "4GB",
  }),
  evalEvery: interval("validations"),
  evalBatches: z.int().min(1).max(VALIDATION_BATCHES.most).openapi({
    description: `Micro batches of a validation; left out: ${VALIDATION_BATCHES.usual}.`,
  }),
  earlyStop: count("Validations without a new best loss after which the job is finished."),
  reference: z.enum(["auto", "none", ...REFERENCE_NAMES]).openapi({
    description: "Published loss curve to compare with; left out: auto.",
  }),
  saveEvery: interval("checkpoints; the end is always saved"),
  keepLast: count("Checkpoints that stay, the newest ones; left out: all."),
  keepEvery: count("Checkpoints at multiples of this stay for good."),
  sampleEvery: interval("text samples"),
  tune: z.enum(TUNE_NAMES).openapi({
    description: "Whether kernels are measured first; auto: when it pays.",
  }),
}).partial().openapi("JobConfig");

/** A job's configuration as it was asked for. */
export type JobConfig = z.infer<typeof jobConfigSchema>;

const plain = z.record(z.string(), z.unknown());
const time = z.string().openapi({ format: "date-time" });

/** A job. */
export const jobSchema = z.object({
  id: z.string(),
  state: z.enum(JOB_STATES),
  position: z.int().optional().openapi({ description: "Place in the queue, counted from 1." }),
  createdAt: time,
  startedAt: time.optional(),
  endedAt: time.optional(),
  config: plain.openapi({ description: "What was asked for." }),
  plan: plain.optional().openapi({ description: "What it became: every number of the run." }),
  step: z.int().openapi({ description: "Steps that are done." }),
  steps: z.int().optional(),
  loss: z.number().optional(),
  validationLoss: z.number().optional(),
  tokensPerSecond: z.number().optional(),
  error: z.string().optional().openapi({ description: "Why it failed." }),
}).openapi("Job");

/** A page of jobs. */
export const jobListSchema = z.object({
  jobs: z.array(jobSchema),
  next: z.string().optional().openapi({ description: "Give it as `after` for the next page." }),
}).openapi("JobList");

const figure = z.number().nullable();

/** A page of figures. */
export const metricsSchema = z.object({
  metrics: z.array(z.object({
    step: z.int(),
    loss: figure,
    learningRate: figure,
    gradNorm: figure.openapi({ description: "Null when the gradients overflowed." }),
    tokensPerSecond: figure,
    ms: figure,
    lossScale: z.number().optional(),
    validationLoss: z.number().optional(),
  })),
  next: z.int().optional().openapi({ description: "Give it as `after` for the next page." }),
}).openapi("JobMetrics");

/** A page of a log. */
export const logsSchema = z.object({
  lines: z.array(z.object({ id: z.int(), time, text: z.string() })),
  next: z.int().optional().openapi({ description: "Give it as `after` for the next page." }),
}).openapi("JobLogs");

/** A checkpoint. */
export const checkpointSchema = z.object({
  step: z.int(),
  savedAt: time,
  bytes: z.int(),
  files: z.array(z.object({ name: z.string(), bytes: z.int() })),
}).openapi("JobCheckpoint");

/** All checkpoints of a job. */
export const checkpointListSchema = z.object({ checkpoints: z.array(checkpointSchema) }).openapi(
  "JobCheckpointList",
);

/** What a sample is asked for. */
export const sampleRequestSchema = z.strictObject({
  prompt: z.string().min(1).max(PROMPT_CHARACTERS),
  maxTokens: z.int().min(1).max(500).default(64),
}).openapi("JobSampleRequest");

/** A sample. */
export const sampleSchema = z.object({
  text: z.string().openapi({ description: "The prompt and what follows it." }),
}).openapi("JobSample");

/** A query's number, which arrives as text. */
function queryNumber(from: number, to: number) {
  return z.string().regex(/^\d{1,15}$/, `give a whole number from ${from} to ${to}`).transform(Number)
    .pipe(z.int().min(from).max(to));
}

/** Where in a page of things that are counted to begin, and how long it is. */
export const pageQuerySchema = z.object({
  after: queryNumber(0, Number.MAX_SAFE_INTEGER).optional().openapi({
    type: "integer",
    description: "Only what comes after this one.",
  }),
  limit: queryNumber(1, 1000).optional().openapi({
    type: "integer",
    description: "At most 1000; 200 by default.",
  }),
});

/** The same for the list of jobs, and which states. */
export const jobListQuerySchema = z.object({
  after: z.string().regex(JOB_NAME).optional().openapi({
    description: "Id of the last job of the page before.",
  }),
  limit: queryNumber(1, 200).optional().openapi({
    type: "integer",
    description: "At most 200; 50 by default.",
  }),
  state: z.enum(JOB_STATES).optional().openapi({ description: "Only jobs in this state." }),
});
