// @ts-check
/**
 * Where a job's time goes on the device, from the profile of its first steps.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { duration, percent } from "../shared/format.js";
import { measuredKernels } from "./measured_kernels.js";

/**
 * @typedef {object} ProfileSummary
 * @property {{first: number, end: number}} kernels
 * @property {{windowMs: number, busyShare: number}} [use]
 * @property {readonly {name: string, share: number}[]} kernelsByTime
 */

/** Kernels that are named. */
const NAMED = 8;
/** Times before each look for the program's report, in milliseconds. */
const WAITS = [0, 2000, 5000];

/** Kernels by time. */
export class KernelTimes {
  #job;
  #list = el("ol", { class: "kernel-times" });
  #note = el(
    "p",
    { class: "quiet small" },
    "Some steps are profiled when the job has warmed up; the result shows here.",
  );
  element = el(
    "section",
    { class: "panel", "aria-label": "Kernel times" },
    el("h3", {}, "Kernel times"),
    this.#list,
    this.#note,
  );

  /** @param {string} job */
  constructor(job) {
    this.#job = job;
  }

  /** Shows a profile; at once what it says itself, then what the program's report has. @param {ProfileSummary} summary */
  async show({ kernels, use, kernelsByTime }) {
    const busy = use ? `The device was busy ${percent(use.busyShare)} of ${duration(use.windowMs)}; ` : "";
    const steps = `kernel by kernel in steps ${kernels.first + 1} to ${kernels.end}.`;
    this.#note.textContent = busy + steps;
    this.#fill(kernelsByTime);
    // The report is written soon after the profile.
    for (const wait of WAITS) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (!this.element.isConnected) return;
      const measured = await measuredKernels(this.#job);
      if (measured.length === 0) continue;
      this.#fill(measured.slice(0, NAMED));
      return;
    }
  }

  /** @param {readonly {name: string, share: number, ms?: number, launches?: number, href?: string}[]} kernels */
  #fill(kernels) {
    const most = Math.max(...kernels.map(({ share }) => share));
    this.#list.replaceChildren(...kernels.map(({ name, share, ms, launches = 1, href }) => {
      const bar = el("span", { class: "meter" }, el("span", {}));
      /** @type {HTMLElement} */ (bar.firstChild).style.width = `${100 * share / most}%`;
      const time = ms === undefined
        ? ""
        : `${duration(ms)}${launches > 1 ? ` in ${launches} launches` : ""} · `;
      const facts = { class: "mono kernel-name", title: name };
      return el(
        "li",
        {},
        href === undefined ? el("span", facts, name) : el("a", { ...facts, href }, name),
        el("span", { class: "number small" }, time, percent(share)),
        bar,
      );
    }));
  }
}
