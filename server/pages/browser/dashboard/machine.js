// @ts-check
/**
 * Device memory by what it is for.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { bytes } from "../shared/format.js";
import { onServerStatus } from "../shared/status.js";

const USERS = /** @type {const} */ (["training", "generation"]);

/** @param {HTMLElement} place */
export function showMachine(place) {
  place.classList.add("machine");
  onServerStatus(({ figures }) => {
    place.hidden = figures === undefined;
    const rows = USERS.map((user) => {
      const value = figures?.get(`sinter_gpu_memory_bytes{user="${user}"}`);
      return el("div", {}, el("dt", {}, user), el("dd", { class: "number" }, bytes(value)));
    });
    place.replaceChildren(el("h2", {}, "GPU memory"), el("dl", {}, ...rows));
  });
}
