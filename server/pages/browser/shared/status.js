// @ts-check
/**
 * How the server is: whether it is ready, how busy generation is, how much device memory is in use. One place asks, every
 * few seconds while the page is seen; whoever wants to know listens.
 *
 * @module
 */
import { ApiProblem, call } from "./api.js";
import { figuresOf } from "./prometheus.js";
import { token } from "./token.js";

/** Time between questions, in milliseconds. */
const INTERVAL_MS = 5000;

/**
 * @typedef {object} ServerStatus
 * @property {string} phase `ready`, `starting`, `recovering`, `draining`, or `unreachable`.
 * @property {Map<string, number>} [figures] Absent without a token.
 */

/** @type {Set<(status: ServerStatus) => void>} */
const listeners = new Set();
/** @type {ServerStatus | undefined} */
let newest;

/** Begins to ask. */
export function watchServer() {
  const ask = async () => {
    if (!document.hidden) {
      newest = await read();
      for (const listener of listeners) listener(newest);
    }
    setTimeout(ask, INTERVAL_MS);
  };
  ask();
}

/** Calls with each answer. @param {(status: ServerStatus) => void} listener */
export function onServerStatus(listener) {
  listeners.add(listener);
  if (newest) listener(newest);
}

/** @returns {Promise<ServerStatus>} */
async function read() {
  try {
    const phase = (await (await fetch("/readyz")).json()).status;
    return { phase, figures: await readFigures() };
  } catch {
    return { phase: "unreachable" };
  }
}

let isRefused = false;
/** @type {string | undefined} */
let refusedToken;

async function readFigures() {
  const used = token();
  if (isRefused && refusedToken === used) return undefined;
  try {
    const response = await call("/metrics", { quiet: true });
    isRefused = false;
    return figuresOf(await response.text());
  } catch (problem) {
    isRefused = problem instanceof ApiProblem && problem.status === 401;
    refusedToken = used;
    return undefined;
  }
}
