// @ts-check
/**
 * Tells the user what went wrong, and what was done.
 *
 * @module
 */
import { ApiProblem } from "./api.js";
import { el } from "./dom.js";

/** How long good news stays, in milliseconds. */
const GOOD_NEWS_MS = 5000;

/**
 * Shows what went wrong until the user closes it. A user's own abort is not shown.
 *
 * @param {unknown} problem
 */
export function showProblem(problem) {
  if (problem instanceof DOMException && problem.name === "AbortError") return;
  const message = problem instanceof Error ? problem.message : String(problem);
  const facts = problem instanceof ApiProblem
    ? [problem.code, problem.status || "", problem.requestId ? `request ${problem.requestId}` : ""]
    : [];
  const small = facts.filter((fact) => fact !== "").join(" · ");
  add(
    "problem",
    "alert",
    el("p", {}, message),
    ...small ? [el("p", { class: "quiet small mono" }, small)] : [],
  );
}

/**
 * Says that something was done.
 *
 * @param {string} text
 */
export function showDone(text) {
  const notice = add("done", "status", el("p", {}, text));
  setTimeout(() => notice.remove(), GOOD_NEWS_MS);
}

/**
 * Does something and shows what goes wrong. A button is out of use meanwhile, but keeps the focus.
 *
 * @param {() => Promise<unknown>} action
 * @param {HTMLButtonElement} [button]
 */
export async function attempt(action, button) {
  if (button?.getAttribute("aria-disabled") === "true") return;
  button?.setAttribute("aria-disabled", "true");
  try {
    await action();
  } catch (problem) {
    showProblem(problem);
  } finally {
    button?.removeAttribute("aria-disabled");
  }
}

/**
 * @param {string} kind
 * @param {string} role
 * @param {...Node} children
 */
function add(kind, role, ...children) {
  const close = el("button", { class: "icon", "aria-label": "Close this notice" }, "×");
  const notice = el("div", { class: `notice ${kind}`, role }, el("div", {}, ...children), close);
  close.addEventListener("click", () => notice.remove());
  const same = [...region().children].find((other) => other.textContent === notice.textContent);
  same?.remove();
  region().append(notice);
  return notice;
}

function region() {
  const found = document.getElementById("notices");
  if (found) return found;
  const made = el("div", { id: "notices" });
  document.body.append(made);
  return made;
}
