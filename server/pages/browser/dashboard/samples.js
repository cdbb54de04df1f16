// @ts-check
/**
 * Texts that the model wrote while it was trained, newest first, and a line to ask for one.
 *
 * @module
 */
import { callJson } from "../shared/api.js";
import { el } from "../shared/dom.js";
import { attempt } from "../shared/notice.js";

/** Samples that are shown. */
const SHOWN = 20;

/** The samples of a job. */
export class Samples {
  #id;
  #list = el("ol", { class: "samples", "aria-live": "polite" });
  #empty = el(
    "p",
    { class: "quiet small" },
    "None yet. The model writes one now and then; or give it a prompt.",
  );
  #prompt = el("input", {
    "aria-label": "Prompt of a sample",
    placeholder: "Call me",
    required: true,
    name: "prompt",
  });
  #ask = el("button", { class: "button" }, "Sample");
  element;

  /** @param {string} id The job. */
  constructor(id) {
    this.#id = id;
    const form = el("form", { class: "ask-sample" }, this.#prompt, this.#ask);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(() => this.#request(), this.#ask);
    });
    this.element = el(
      "section",
      { class: "panel wide", "aria-label": "Samples" },
      el("div", { class: "bar" }, el("h3", {}, "Samples"), form),
      this.#empty,
      this.#list,
    );
    this.isRunning = false;
  }

  /** Only a running job can be asked. @param {boolean} isRunning */
  set isRunning(isRunning) {
    this.#ask.hidden = this.#prompt.hidden = !isRunning;
  }

  /**
   * Shows a sample.
   *
   * @param {number} step
   * @param {string} text
   */
  add(step, text) {
    this.#empty.hidden = true;
    this.#list.prepend(
      el(
        "li",
        {},
        el("span", { class: "quiet small number" }, `step ${step}`),
        el("p", { class: "mono" }, text),
      ),
    );
    while (this.#list.children.length > SHOWN) this.#list.lastChild?.remove();
  }

  async #request() {
    const { text } = await callJson(`/v1/training/jobs/${encodeURIComponent(this.#id)}/sample`, {
      method: "POST",
      body: { prompt: this.#prompt.value, maxTokens: 64 },
    });
    this.#empty.hidden = true;
    this.#list.prepend(
      el("li", {}, el("span", { class: "quiet small" }, "you asked"), el("p", { class: "mono" }, text)),
    );
  }
}
