// @ts-check
/**
 * What a page shows in place of what the server would not give.
 *
 * @module
 */
import { el } from "./dom.js";

/**
 * Does something that a page needs; when it fails, says why and offers to try again.
 *
 * @param {HTMLElement} place
 * @param {() => Promise<unknown>} action
 */
export async function orRetry(place, action) {
  try {
    await action();
  } catch (problem) {
    const message = problem instanceof Error ? problem.message : String(problem);
    const again = el("button", { class: "button", onclick: () => orRetry(place, action) }, "Try again");
    place.replaceChildren(el("div", { class: "empty", role: "alert" }, el("p", {}, message), again));
  }
}
