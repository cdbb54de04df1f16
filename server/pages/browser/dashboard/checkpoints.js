// @ts-check
/**
 * A job's checkpoints, with their files to download.
 *
 * @module
 */
import { callJson, download } from "../shared/api.js";
import { el } from "../shared/dom.js";
import { bytes, clock, count } from "../shared/format.js";
import { attempt } from "../shared/notice.js";

/** @typedef {import("../wire.d.ts").JobCheckpoint} JobCheckpoint */

/** The list of checkpoints. */
export class Checkpoints {
  #id;
  #place = el("div", { class: "scroll" });
  element = el(
    "section",
    { class: "panel", "aria-label": "Checkpoints" },
    el("h3", {}, "Checkpoints"),
    this.#place,
  );

  /** @param {string} id The job. */
  constructor(id) {
    this.#id = id;
    this.#show([]);
  }

  /** Asks for the list. */
  async refresh() {
    const { checkpoints } = await callJson(`/v1/training/jobs/${encodeURIComponent(this.#id)}/checkpoints`);
    this.#show(checkpoints);
  }

  /** @param {readonly JobCheckpoint[]} checkpoints */
  #show(checkpoints) {
    if (checkpoints.length === 0) {
      this.#place.replaceChildren(
        el(
          "p",
          { class: "quiet small" },
          "None yet. One is saved now and then, at the end, and when you ask for it.",
        ),
      );
      return;
    }
    const head = el(
      "tr",
      {},
      ...["Step", "Saved", "Size", "Files"].map((name) => el("th", { scope: "col" }, name)),
    );
    this.#place.replaceChildren(
      el("table", {}, el("thead", {}, head), el("tbody", {}, ...checkpoints.map((one) => this.#row(one)))),
    );
  }

  /** @param {JobCheckpoint} checkpoint */
  #row({ step, savedAt, bytes: size, files }) {
    const links = files.map(({ name, bytes: fileBytes }) => {
      const link = el("button", { class: "link mono", title: `Download, ${bytes(fileBytes)}` }, name);
      const path = `/v1/training/jobs/${encodeURIComponent(this.#id)}/checkpoints/${step}/${
        encodeURIComponent(name)
      }`;
      link.addEventListener(
        "click",
        () => attempt(() => download(path, `${this.#id}-${step}-${name}`), link),
      );
      return link;
    });
    return el(
      "tr",
      {},
      el("td", {}, count(step)),
      el("td", {}, clock(savedAt)),
      el("td", {}, bytes(size)),
      el("td", {}, el("span", { class: "files" }, ...links)),
    );
  }
}
