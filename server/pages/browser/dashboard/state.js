// @ts-check
/**
 * States of jobs as they are shown.
 *
 * @module
 */
import { el } from "../shared/dom.js";

/** @typedef {import("../wire.d.ts").JobState} JobState */

/** States that a job does not leave by itself. @type {readonly JobState[]} */
export const OVER = ["finished", "failed", "cancelled"];

/** @param {JobState} state */
export function stateBadge(state) {
  return el("span", { class: `badge ${state}` }, state);
}
