// @ts-check
/**
 * One launch in detail: its cost, its kernel's texts, the ops in it with the reasons why they are together, and whom it
 * reads from.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes, count, duration, figure, NONE, percent, rate, short } from "../shared/format.js";
import { tabsOf } from "../shared/tabs.js";
import { wgslCode } from "./highlight.js";

/** @typedef {import("./report.js").Launch} Launch */
/** @typedef {import("../wire.d.ts").ProgramReport} ProgramReport */

/** Shows launches, one at a time. */
export class KernelPanel {
  #report;
  #launches;
  #onChoose;
  #tab = "WGSL";
  element = el("section", { class: "kernel panel", "aria-label": "Kernel", tabindex: "-1" });

  /**
   * @param {ProgramReport} report
   * @param {readonly Launch[]} launches
   * @param {(index: number) => void} onChoose Called with the launch that the user wants to see.
   */
  constructor(report, launches, onChoose) {
    this.#report = report;
    this.#launches = launches;
    this.#onChoose = onChoose;
    this.element.append(
      el("p", { class: "quiet" }, "Choose a kernel: click it, or go through the graph with the arrow keys."),
    );
  }

  /** Shows a launch. @param {number} index */
  show(index) {
    const launch = this.#launches[index];
    const { dispatch, name } = launch;
    const kernel = this.#report.kernels[dispatch.kernel];
    const group = this.#report.groups.find(({ id }) => id === dispatch.group);
    const tabs = tabsOf(
      "Kernel",
      [
        { name: "WGSL", content: () => wgslCode(kernel.wgsl) },
        { name: "Kernel IR", content: () => el("pre", { class: "code", tabindex: "0" }, kernel.ir) },
        { name: "Ops and reasons", content: () => opsOf(group) },
      ],
      this.#tab,
      (tab) => this.#tab = tab,
    );
    const title = el("h2", { class: "mono" }, name);
    this.element.replaceChildren(
      el(
        "div",
        { class: "bar" },
        title,
        el("span", { class: "quiet small number" }, `launch ${index + 1} of ${this.#launches.length}`),
      ),
      this.#facts(launch),
      this.#joined("Reads from", launch.inputs),
      this.#joined("Read by", launch.outputs),
      tabs,
    );
  }

  /** @param {Launch} launch */
  #facts({ dispatch, share }) {
    const { bytes: moved, flops, ms, workgroups, kernel } = dispatch;
    const { workgroupSize } = this.#report.kernels[kernel];
    /** @type {[string, string][]} */
    const facts = [
      ["Time", ms === undefined ? NONE : `${duration(ms)} (${percent(share)})`],
      ["Bytes", bytes(moved)],
      ["FLOPs", short(flops)],
      ["FLOPs/byte", moved > 0 ? figure(flops / moved, 3) : NONE],
      ...ms
        ? [
          /** @type {[string, string]} */ ([
            "Rates",
            `${rate(moved / ms * 1e3, "B/s")}, ${rate(flops / ms * 1e3, "FLOP/s")}`,
          ]),
        ]
        : [],
      ["Workgroups", `${workgroups.map((size) => count(size)).join(" × ")} of ${workgroupSize.join(" × ")}`],
    ];
    return el(
      "dl",
      { class: "facts small" },
      ...facts.map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", { class: "number" }, value))
      ),
    );
  }

  /**
   * @param {string} title
   * @param {readonly number[]} others
   */
  #joined(title, others) {
    const links = others.map((other) =>
      el("button", { class: "link mono", onclick: () => this.#onChoose(other) }, this.#launches[other].name)
    );
    return el(
      "p",
      { class: "joined-to small" },
      el("span", { class: "quiet" }, `${title} `),
      ...links.length > 0 ? links : [el("span", { class: "quiet" }, "no other kernel")],
    );
  }
}

/** @param {import("../wire.d.ts").ReportedGroup | undefined} group */
function opsOf(group) {
  if (!group) return el("p", { class: "quiet" }, "A copy: it belongs to no group of ops.");
  return el(
    "div",
    { class: "ops" },
    el("p", {}, el("b", {}, group.kind), ` ${group.title}`),
    el("ul", {}, ...group.reasons.map((reason) => el("li", {}, reason))),
    el("pre", { class: "code", tabindex: "0" }, group.nodes.join("\n")),
  );
}
