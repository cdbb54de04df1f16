// @ts-check
/**
 * One program: its graph of kernels beside the chosen kernel, and the compiler's stages as text.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes, count, duration } from "../shared/format.js";
import { tabsOf } from "../shared/tabs.js";
import { GraphView } from "./graph_view.js";
import { KernelPanel } from "./kernel_panel.js";
import { launchList } from "./launch_list.js";
import { bandsOf, launchesOf } from "./report.js";

/** @typedef {import("../wire.d.ts").ProgramReport} ProgramReport */

/** How long a choice has to last until its kernel is shown, in milliseconds. */
const SETTLED_MS = 40;

/**
 * @param {ProgramReport} report
 * @param {number | undefined} first The launch to show at first.
 * @param {(index: number) => void} onChoose Called with each launch that is shown.
 * @returns {HTMLElement}
 */
export function programView(report, first, onChoose) {
  const launches = launchesOf(report);
  const bands = bandsOf(launches, report);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let due;
  /** @param {number} index */
  const choose = (index) => {
    graph.choose(index);
    // Whoever runs through the graph with a key held down sees the kernel where they stop.
    clearTimeout(due);
    due = setTimeout(() => {
      panel.show(index);
      onChoose(index);
    }, SETTLED_MS);
  };
  const panel = new KernelPanel(report, launches, choose);
  const graph = new GraphView(launches, bands, choose, () => panel.element.focus());
  panel.element.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") graph.element.focus();
  });
  const find = el("input", { type: "search", placeholder: "Find a kernel", "aria-label": "Find a kernel" });
  find.addEventListener("input", () => graph.filter(find.value));
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const wanted = find.value.trim().toLowerCase();
    const found = launches.find(({ name }) => name.toLowerCase().includes(wanted));
    if (found) choose(found.index);
  });
  const shown = tabsOf("Kernels as", [
    { name: "Graph", content: () => graph.element },
    { name: "By cost", content: () => launchList(launches, choose) },
  ]);
  shown.querySelector(".tab-list")?.append(find);
  const stages = Object.entries(report.stages).map(([name, text]) => ({
    name: name[0].toUpperCase() + name.slice(1),
    content: () => el("pre", { class: "code stage", tabindex: "0" }, text),
  }));
  const total = report.dispatches.reduce((sum, { ms }) => sum + (ms ?? 0), 0);
  if (first !== undefined && first < launches.length) setTimeout(() => choose(first));
  return el(
    "div",
    { class: "program" },
    el(
      "div",
      { class: "bar program-head" },
      el("div", {}, el("a", { href: "#" }, "Programs"), el("h1", { tabindex: "-1" }, report.name)),
      el(
        "p",
        { class: "quiet small number" },
        [
          `${count(report.kernels.length)} kernels`,
          `${count(launches.length)} launches`,
          ...report.peakBytes === undefined ? [] : [bytes(report.peakBytes)],
          ...total > 0 ? [`${duration(total)} on the device`] : [],
          report.hash.slice(0, 12),
        ].join(" · "),
      ),
    ),
    tabsOf("Stages", [
      { name: "Kernels", content: () => el("div", { class: "kernels" }, shown, panel.element) },
      ...stages,
    ]),
  );
}
