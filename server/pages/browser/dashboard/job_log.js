// @ts-check
/**
 * What happened to a job, in lines; steps only when they are wanted.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes, clock, count, duration, figure } from "../shared/format.js";

/** @typedef {import("../wire.d.ts").JobEvent} JobEvent */

/** Lines that are kept: of steps, and of all else. */
const KEPT = { steps: 300, others: 300 };

/** @type {Readonly<Record<string, (data: any) => string>>} */
const TEXTS = {
  state: ({ state, reason, error }) => [state, reason, error].filter(Boolean).join(": "),
  plan: ({ plan, adapter, parameters }) =>
    `${plan.preset} with ${count(parameters)} parameters, ${
      count(plan.steps)
    } steps on ${plan.data}, ${adapter.name}`,
  compiled: ({ ms, kernels, dispatches, peakBytes }) =>
    `compiled in ${duration(ms)}: ${kernels} kernels, ${dispatches} launches, ${bytes(peakBytes)}`,
  step: ({ step, loss, ms }) => `step ${step}: loss ${figure(loss)}, ${duration(ms)}`,
  validation: ({ step, loss }) => `step ${step}: validation loss ${figure(loss)}`,
  sample: ({ step }) => `step ${step}: sample`,
  checkpoint: ({ step }) => `step ${step}: checkpoint saved`,
  profile: () => "profile written",
  notice: ({ text }) => text,
  end: ({ reason, step }) => `${reason} at step ${step}`,
  failure: ({ message }) => `failed: ${message}`,
};

/** The log of a job. */
export class JobLog {
  #list = el("ol", { class: "log mono", tabindex: "0", "aria-label": "Lines of the log" });
  /** @type {JobEvent[]} */
  #dueSteps = [];
  /** @type {JobEvent[]} */
  #dueOthers = [];
  #withSteps = el("input", { type: "checkbox" });
  element = el(
    "section",
    { class: "panel", "aria-label": "Log" },
    el(
      "div",
      { class: "bar" },
      el("h3", {}, "Log"),
      el("label", { class: "inline small" }, this.#withSteps, "with steps"),
    ),
    this.#list,
  );

  constructor() {
    this.#withSteps.addEventListener("change", () => {
      this.#list.classList.toggle("with-steps", this.#withSteps.checked);
      this.#list.scrollTop = this.#list.scrollHeight;
    });
  }

  /** Adds an event; it shows at the next {@link draw}. @param {JobEvent} event */
  add(event) {
    const { due, most } = event.kind === "step"
      ? { due: this.#dueSteps, most: KEPT.steps }
      : { due: this.#dueOthers, most: KEPT.others };
    due.push(event);
    if (due.length > 2 * most) due.splice(0, due.length - most);
  }

  /** Shows the lines of new events. */
  draw() {
    const due = [...this.#dueSteps, ...this.#dueOthers].sort((a, b) => a.id - b.id);
    if (due.length === 0) return;
    this.#dueSteps.length = this.#dueOthers.length = 0;
    const list = this.#list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 20;
    list.append(...due.map(lineOf));
    trim(list.querySelectorAll("li.step"), KEPT.steps);
    trim(list.querySelectorAll("li:not(.step)"), KEPT.others);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}

/** @param {JobEvent} event */
function lineOf({ kind, time, data }) {
  const text = TEXTS[kind]?.(data) ?? `${kind} ${JSON.stringify(data)}`;
  return el("li", { class: kind }, el("span", { class: "quiet" }, clock(time)), " ", text);
}

/**
 * Removes what is too much, from the first one on.
 *
 * @param {NodeListOf<Element>} lines
 * @param {number} most
 */
function trim(lines, most) {
  for (let at = 0; at < lines.length - most; at++) lines[at].remove();
}
