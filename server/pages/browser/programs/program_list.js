// @ts-check
/**
 * The programs that the server has compiled.
 *
 * @module
 */
import { naming } from "../shared/address.js";
import { el } from "../shared/dom.js";
import { bytes, count, duration } from "../shared/format.js";

/** @typedef {import("../wire.d.ts").ProgramSummary} ProgramSummary */

/**
 * @param {readonly ProgramSummary[]} programs
 * @returns {HTMLElement}
 */
export function programList(programs) {
  if (programs.length === 0) {
    return el(
      "div",
      { class: "empty" },
      el("h1", {}, "No programs yet"),
      el(
        "p",
        {},
        "A program is what the compiler makes of a model's training step or of a step of generation: kernels, and the " +
          "order in which they run. They show up here when a job starts or a model is asked for text.",
      ),
      el("a", { href: "/" }, "Start a training job"),
    );
  }
  const names = ["Program", "Used by", "Kernels", "Launches", "Memory", "Compiled in"];
  const head = names.map((name, at) => el("th", { scope: "col", class: at > 1 ? "right" : "" }, name));
  const rows = programs.map(({ hash, name, usedBy, kernels, dispatches, peakBytes, compileMs }) =>
    el(
      "tr",
      {},
      el("td", {}, el("a", { href: naming("program", hash), class: "mono" }, name)),
      el("td", {}, usedBy.join(", ")),
      el("td", { class: "right" }, count(kernels)),
      el("td", { class: "right" }, count(dispatches)),
      el("td", { class: "right" }, bytes(peakBytes)),
      el("td", { class: "right" }, duration(compileMs)),
    )
  );
  return el(
    "div",
    { class: "stack" },
    el("h1", { tabindex: "-1" }, "Programs"),
    el(
      "div",
      { class: "panel scroll" },
      el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
    ),
  );
}
