// @ts-check
/**
 * Calls the API of the server that the page came from. Refusals become {@link ApiProblem}; where a token is missing, the
 * user is asked for it and the call made again.
 *
 * @module
 */
import { askForToken, token } from "./token.js";

/** A call that the server refused, or that did not reach it. */
export class ApiProblem extends Error {
  /**
   * @param {string} message One line for the user.
   * @param {{status?: number, code?: string, param?: string | null, requestId?: string | null}} [facts]
   */
  constructor(message, { status = 0, code = "unreachable", param = null, requestId = null } = {}) {
    super(message);
    this.name = "ApiProblem";
    this.status = status;
    this.code = code;
    /** Field of the request that is wrong. */
    this.param = param;
    this.requestId = requestId;
  }
}

/**
 * @typedef {object} CallOptions
 * @property {string} [method]
 * @property {unknown} [body] Sent as JSON.
 * @property {AbortSignal} [signal]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [quiet] Do not ask for a token.
 */

/**
 * Calls the API.
 *
 * @param {string} path
 * @param {CallOptions} [options]
 * @returns {Promise<Response>} A good one.
 */
export async function call(path, options = {}) {
  for (;;) {
    const used = token();
    const response = await send(path, used, options);
    if (response.ok) return response;
    const problem = await problemOf(response);
    const wantsToken = problem.status === 401 || problem.code === "admin_token_needed";
    if (!wantsToken || options.quiet) throw problem;
    const isNew = token() !== used;
    if (!isNew && !await askForToken(problem.message)) throw problem;
  }
}

/**
 * Calls the API for JSON.
 *
 * @param {string} path
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function callJson(path, options) {
  return await (await call(path, options)).json();
}

/**
 * Downloads a file under a name; links cannot send a token.
 *
 * @param {string} path
 * @param {string} name
 */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await call(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * @param {string} path
 * @param {string | undefined} used
 * @param {CallOptions} options
 */
async function send(path, used, { method = "GET", body, signal, headers }) {
  try {
    return await fetch(path, {
      method,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: {
        ...headers,
        ...body === undefined ? {} : { "Content-Type": "application/json" },
        ...used === undefined ? {} : { Authorization: `Bearer ${used}` },
      },
    });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new ApiProblem("The server does not answer. Is it still running?");
  }
}

/** @param {Response} response */
async function problemOf(response) {
  const { status, headers } = response;
  const requestId = headers.get("X-Request-Id");
  const json = await response.json().catch(() => undefined);
  const { message = `The server answered ${status}.`, code = "refused", param = null } = json?.error ?? {};
  return new ApiProblem(message, { status, code, param, requestId });
}
