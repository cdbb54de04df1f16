/**
 * What both APIs of generation do with a request before it is answered.
 *
 * @module
 */

/** A seed for requests that bring none. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** Aborts when the request's client has gone, or by hand. */
export function gone(client: AbortSignal): AbortController {
  const controller = new AbortController();
  if (client.aborted) controller.abort();
  else client.addEventListener("abort", () => controller.abort(), { once: true });
  return controller;
}
