// @ts-check
/**
 * Follows a job's events: all that have happened, then what happens. A connection that breaks is made again, from the last
 * event that was seen on.
 *
 * @module
 */
import { ApiProblem, call } from "../shared/api.js";
import { eventsOf } from "../shared/event_stream.js";

/** Times before a new connection, in milliseconds. */
const WAITS = [500, 1000, 2000, 5000];

/** @typedef {import("../wire.d.ts").JobEvent} JobEvent */

/**
 * @param {string} id The job.
 * @param {object} listener
 * @param {(event: JobEvent) => void} listener.onEvent
 * @param {(isConnected: boolean) => void} listener.onConnection
 * @param {AbortSignal} signal
 * @returns {Promise<void>} Resolves when the job is over and all of its events have been seen, or on abort.
 */
export async function followJob(id, { onEvent, onConnection }, signal) {
  let last = 0;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const response = await call(`/v1/training/jobs/${encodeURIComponent(id)}/events`, {
        headers: { "Last-Event-ID": String(last), Accept: "text/event-stream" },
        signal,
      });
      if (response.status === 204) return;
      onConnection(true);
      for await (const { data } of eventsOf(response)) {
        /** @type {JobEvent} */
        const event = JSON.parse(data);
        last = event.id;
        failures = 0;
        onEvent(event);
      }
    } catch (problem) {
      if (signal.aborted) return;
      const isFinal = problem instanceof ApiProblem && problem.status >= 400 && problem.status < 500 &&
        problem.status !== 429;
      if (isFinal) throw problem;
      onConnection(false);
    }
    await pause(WAITS[Math.min(failures++, WAITS.length - 1)], signal);
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    }, { once: true });
  });
}
