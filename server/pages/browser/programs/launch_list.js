// @ts-check
/**
 * The launches of a program as a table, dearest first or in the order of execution.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes, duration, percent, short } from "../shared/format.js";

/** @typedef {import("./report.js").Launch} Launch */

/**
 * @param {readonly Launch[]} launches
 * @param {(index: number) => void} onChoose
 */
export function launchList(launches, onChoose) {
  const dearest = launches.toSorted((a, b) => b.share - a.share);
  const rows = dearest.map(({ index, name, share, dispatch }) => {
    const choose = el("button", { class: "link mono", title: name, onclick: () => onChoose(index) }, name);
    return el(
      "tr",
      {},
      el("td", { class: "right" }, String(index + 1)),
      el("td", {}, choose),
      el("td", { class: "right" }, percent(share)),
      el("td", { class: "right" }, duration(dispatch.ms)),
      el("td", { class: "right" }, bytes(dispatch.bytes)),
      el("td", { class: "right" }, short(dispatch.flops)),
    );
  });
  const names = ["Launch", "Kernel", "Share", "Time", "Bytes", "FLOPs"];
  const head = names.map((name) => el("th", { scope: "col", class: name === "Kernel" ? "" : "right" }, name));
  return el(
    "div",
    { class: "list-scroll scroll", tabindex: "0" },
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
  );
}
