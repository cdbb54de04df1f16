// @ts-check
/**
 * Where a job's time goes on the device, from the profile of its first steps.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { duration, percent } from "../shared/format.js";

/**
 * @typedef {object} ProfileSummary
 * @property {{first: number, end: number}} kernels
 * @property {{windowMs: number, busyShare: number}} [use]
 * @property {readonly {name: string, share: number}[]} kernelsByTime
 */

/** Kernels by time. */
export class KernelTimes {
  #place = el("div", {});
  element = el(
    "section",
    { class: "panel", "aria-label": "Kernel times" },
    el("h3", {}, "Kernel times"),
    this.#place,
  );

  constructor() {
    this.#place.append(
      el(
        "p",
        { class: "quiet small" },
        "Some steps are profiled when the job has warmed up; the result shows here.",
      ),
    );
  }

  /** @param {ProfileSummary} summary */
  show({ kernels, use, kernelsByTime }) {
    const most = Math.max(...kernelsByTime.map(({ share }) => share));
    const rows = kernelsByTime.map(({ name, share }) => {
      const bar = el("span", { class: "meter" }, el("span", {}));
      /** @type {HTMLElement} */ (bar.firstChild).style.width = `${100 * share / most}%`;
      return el(
        "li",
        {},
        el("span", { class: "mono kernel-name", title: name }, name),
        el("span", { class: "number" }, percent(share)),
        bar,
      );
    });
    const facts = use ? `The device was busy ${percent(use.busyShare)} of ${duration(use.windowMs)}; ` : "";
    this.#place.replaceChildren(
      el("ol", { class: "kernel-times" }, ...rows),
      el(
        "p",
        { class: "quiet small" },
        `${facts}kernel by kernel in steps ${kernels.first + 1} to ${kernels.end}. `,
        el("a", { href: "/programs" }, "See the kernels"),
      ),
    );
  }
}
