/**
 * Turns whatever a route throws into the one form of errors. What is not meant for clients (anything but
 * {@link ApiError}, the framework's refusals and bad input) becomes a plain 500 with the request's id, and goes to the
 * log in full.
 *
 * @module
 */
import type { Hook } from "@hono/zod-openapi";
import type { Context, ErrorHandler, NotFoundHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ZodError } from "zod";
import { InputError } from "../../model/mod.ts";
import type { ShellEnv } from "./context.ts";
import { ApiError } from "./error.ts";

/** Where internal errors are reported, with the id of their request. */
export type ReportProblem = (problem: unknown, requestId: string) => void;

/** Codes of refusals that the framework itself makes, by status. */
const FRAMEWORK_CODES: Readonly<Record<number, [code: string, message: string]>> = {
  400: ["malformed_body", "The body is not valid JSON; send a JSON object."],
  413: ["body_too_large", "The body is too large."],
  415: ["unsupported_media_type", "Send the body as JSON, with the header Content-Type: application/json."],
};

/** Answers with an error's one JSON form. */
export function errorResponse(context: Context, error: ApiError): Response {
  const { retryAfter } = error.details;
  if (retryAfter !== undefined) context.header("Retry-After", String(Math.max(1, Math.ceil(retryAfter))));
  if (error.status === 401) context.header("WWW-Authenticate", 'Bearer realm="sinter"');
  return context.json(error.toJSON(), error.status as ContentfulStatusCode);
}

/** The handler of every error of the application. */
export function errorHandler(report: ReportProblem): ErrorHandler<ShellEnv> {
  return (problem, context) => {
    const known = clientsError(problem);
    if (known) return errorResponse(context, known);
    const id = context.get("requestId");
    report(problem, id);
    const message = `The server failed to answer; its log says why, under the request id ${id}.`;
    return errorResponse(context, new ApiError(500, "internal_error", message));
  };
}

/** Answers requests that no route takes. */
export function notFoundHandler(): NotFoundHandler<ShellEnv> {
  return (context) => {
    const { method, path } = context.req;
    const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
    const message = `There is no ${method} ${shown}; /reference lists what there is.`;
    return errorResponse(context, new ApiError(404, "unknown_route", message));
  };
}

/** What validation does with input that a schema refuses: a 400 that names the first field. */
export const refuseInvalid: Hook<unknown, ShellEnv, string, unknown> = (result) => {
  if (!result.success) throw invalidInput(result.error as ZodError);
};

/** The refusal of input that a schema does not accept. */
export function invalidInput(error: ZodError): ApiError {
  const [issue] = error.issues;
  const isUnknown = issue.code === "unrecognized_keys";
  const param = fieldName(isUnknown ? [...issue.path, issue.keys[0]] : issue.path);
  const problem = isUnknown ? "there is no such field; leave it out" : issue.message;
  const message = param === "" ? problem : `${param}: ${problem}`;
  return new ApiError(400, "invalid_value", message, param === "" ? {} : { param });
}

/** `stop[1].text`: a path into a body as people write it. */
function fieldName(path: readonly PropertyKey[]): string {
  const name = path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("");
  const plain = name.replace(/^\./, "");
  return plain.length > 100 ? `${plain.slice(0, 100)}…` : plain;
}

/** What a client may know of an error; undefined when that is nothing. */
function clientsError(problem: unknown): ApiError | undefined {
  if (problem instanceof ApiError) return problem;
  if (problem instanceof InputError) {
    return new ApiError(400, "invalid_value", problem.message, { param: problem.input });
  }
  if (problem instanceof HTTPException && problem.status < 500) {
    const [code, message] = FRAMEWORK_CODES[problem.status] ?? ["refused", problem.message];
    return new ApiError(problem.status, code, message);
  }
  return undefined;
}
