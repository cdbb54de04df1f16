// @ts-check
/**
 * What happened to a job, in lines; steps only when they are wanted.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes, clock, count, duration, figure } from "../shared/format.js";

/** @typedef {import("../wire.d.ts").JobEvent} JobEvent */

/** Lines that are kept. */
const KEPT = 500;

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

  /** Adds an event's line. @param {JobEvent} event */
  add({ kind, time, data }) {
    const isAtEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 20;
    const text = TEXTS[kind]?.(data) ?? `${kind} ${JSON.stringify(data)}`;
    this.#list.append(el("li", { class: kind }, el("span", { class: "quiet" }, clock(time)), " ", text));
    while (this.#list.children.length > KEPT) {
      (this.#list.querySelector("li.step") ?? this.#list.firstChild)?.remove();
    }
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }
}
