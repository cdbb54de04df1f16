/**
 * `/v1/programs/…`: what the compiler made of each program. A report may be megabytes of text: it goes out compressed, as it
 * lies on disk, to whoever accepts that.
 *
 * @module
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { ifNoneMatch } from "@std/http/etag";
import { acceptsEncodings } from "@std/http/negotiation";
import type { Context } from "hono";
import type { ZodError } from "zod";
import type { KernelSource, ProgramReport } from "../../compiler/mod.ts";
import { ApiError } from "../http/error.ts";
import { invalidInput } from "../http/error_handler.ts";
import { raw } from "../http/raw_response.ts";
import { refusalSchema } from "../http/refusal_schema.ts";
import type { ProgramService } from "../services.ts";

const tags = ["programs"];
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  content: { "application/json": { schema } },
  description,
});
const text = (description: string) => ({ content: { "text/plain": { schema: z.string() } }, description });

const missing = { 404: json(refusalSchema, "There is no such program, stage or kernel.") };

const summarySchema = z.object({
  hash: z.string(),
  name: z.string(),
  kernels: z.int(),
  dispatches: z.int(),
  peakBytes: z.number(),
  compileMs: z.number(),
  usedBy: z.array(z.string()),
}).openapi("ProgramSummary");

const hash = z.string().max(100).openapi({ example: "0123456789abcdef" });
const name = z.string().max(200);

const listPrograms = createRoute({
  method: "get",
  path: "/v1/programs",
  tags,
  summary: "Every program that was compiled",
  responses: { 200: json(z.object({ programs: z.array(summarySchema) }), "The latest first.") },
});

const getProgram = createRoute({
  method: "get",
  path: "/v1/programs/{hash}",
  tags,
  summary: "A program with every stage of its compilation",
  request: { params: z.object({ hash }) },
  responses: {
    200: json(
      z.object({}).loose().openapi("ProgramReport"),
      "Stages as text, groups with reasons, kernels with Kernel IR and WGSL, launches with times where they were measured, " +
        "and the memory plan.",
    ),
    ...missing,
  },
});

const getStage = createRoute({
  method: "get",
  path: "/v1/programs/{hash}/stages/{stage}",
  tags,
  summary: "One stage as deno task inspect prints it",
  request: { params: z.object({ hash, stage: name.openapi({ example: "groups" }) }) },
  responses: { 200: text("The text."), ...missing },
});

const getKernel = createRoute({
  method: "get",
  path: "/v1/programs/{hash}/kernels/{kernel}",
  tags,
  summary: "One kernel: Kernel IR, WGSL, workgroup size, schedule, launches",
  request: { params: z.object({ hash, kernel: name }) },
  responses: { 200: json(z.object({}).loose().openapi("Kernel"), "The kernel."), ...missing },
});

const getWgsl = createRoute({
  method: "get",
  path: "/v1/programs/{hash}/kernels/{kernel}/wgsl",
  tags,
  summary: "One kernel's WGSL",
  request: { params: z.object({ hash, kernel: name }) },
  responses: { 200: text("The module's text."), ...missing },
});

/** The routes. */
export function programRoutes(service: ProgramService): OpenAPIHono {
  const routes = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error as ZodError);
    },
  });

  routes.openapi(listPrograms, async (context) => {
    const programs = (await service.list()).map((program) => ({ ...program, usedBy: [...program.usedBy] }));
    return context.json({ programs }, 200);
  });

  routes.openapi(getProgram, async (context) => {
    const bytes = await find(service, context.req.valid("param").hash);
    return raw(await compressed(context, bytes));
  });

  routes.openapi(getStage, async (context) => {
    const { hash, stage } = context.req.valid("param");
    const { stages } = await reportOf(service, hash);
    if (Object.hasOwn(stages, stage)) return context.text(stages[stage], 200);
    throw notFound(`stage ${stage}`, `there are ${Object.keys(stages).join(", ")}`);
  });

  routes.openapi(getKernel, async (context) => {
    const { hash, kernel } = context.req.valid("param");
    const report = await reportOf(service, hash);
    const found = kernelOf(report, kernel);
    const index = report.kernels.indexOf(found);
    const dispatches = report.dispatches.filter((dispatch) => dispatch.kernel === index);
    return raw(Response.json({ ...found, dispatches }));
  });

  routes.openapi(getWgsl, async (context) => {
    const { hash, kernel } = context.req.valid("param");
    return context.text(kernelOf(await reportOf(service, hash), kernel).wgsl, 200);
  });
  return routes;
}

function notFound(what: string, hint: string): ApiError {
  return new ApiError(404, "not_found", `There is no ${what.slice(0, 200)}; ${hint}.`);
}

async function find(service: ProgramService, hash: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await service.get(hash);
  if (bytes) return bytes;
  throw new ApiError(
    404,
    "unknown_program",
    `There is no program ${hash}; GET /v1/programs lists what there is.`,
  );
}

function inflated(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
}

async function reportOf(service: ProgramService, hash: string): Promise<ProgramReport> {
  return await new Response(inflated(await find(service, hash))).json();
}

function kernelOf({ kernels }: ProgramReport, name: string): KernelSource {
  const found = kernels.find((kernel) => kernel.name === name);
  if (found) return found;
  throw notFound(`kernel ${name}`, "the program's report lists them");
}

/** JSON that is gzip'd already. The same bytes have the same tag, so a browser that has them gets no second copy. */
async function compressed(context: Context, bytes: Uint8Array<ArrayBuffer>): Promise<Response> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).subarray(0, 12);
  const tag = `W/"${digest.toHex()}"`;
  const headers = new Headers({
    "Content-Type": "application/json; charset=UTF-8",
    "Cache-Control": "no-cache",
    "ETag": tag,
    "Vary": "Accept-Encoding",
  });
  const known = context.req.header("If-None-Match");
  if (known !== undefined && !ifNoneMatch(known, tag)) return new Response(null, { status: 304, headers });
  const asked = context.req.header("Accept-Encoding");
  if (asked === undefined || acceptsEncodings(context.req.raw, "gzip", "identity") !== "gzip") {
    return new Response(inflated(bytes), { headers });
  }
  headers.set("Content-Encoding", "gzip");
  return new Response(bytes, { headers });
}
