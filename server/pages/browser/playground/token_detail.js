// @ts-check
/**
 * How likely a token was, and what else could have come.
 *
 * @module
 */
import { el } from "../shared/dom.js";
import { figure, percent } from "../shared/format.js";

/** @typedef {import("../wire.d.ts").TokenEvent} TokenEvent */

/**
 * @param {HTMLElement} place
 * @param {TokenEvent} token
 */
export function showToken(place, { token, text, logprob, top = [] }) {
  const rows = top.map((other) => {
    const isIt = other.token === token;
    const meter = el("span", { class: "meter" }, el("span", {}));
    /** @type {HTMLElement} */ (meter.firstChild).style.width = `${
      100 * Math.exp(other.logprob ?? -Infinity)
    }%`;
    return el(
      "tr",
      isIt ? { class: "it" } : {},
      el("td", { class: "mono" }, JSON.stringify(other.text)),
      el("td", { class: "right" }, percent(Math.exp(other.logprob ?? -Infinity))),
      el("td", { class: "bar-cell" }, meter),
    );
  });
  place.replaceChildren(
    el(
      "p",
      {},
      el("b", { class: "mono" }, JSON.stringify(text)),
      el("span", { class: "quiet" }, ` token ${token} `),
      logprob === undefined ? "" : `${percent(Math.exp(logprob))} (${figure(logprob, 3)} nats)`,
    ),
    ...rows.length > 0 ? [el("table", {}, el("tbody", {}, ...rows))] : [],
  );
}
