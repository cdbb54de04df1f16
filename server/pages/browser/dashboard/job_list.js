// @ts-check
/**
 * The list of jobs, newest first, with their states and places in the queue; asked for again every few seconds.
 *
 * @module
 */
import { naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { el } from "../shared/dom.js";
import { figure } from "../shared/format.js";
import { attempt } from "../shared/notice.js";
import { stateBadge } from "./state.js";

/** @typedef {import("../wire.d.ts").Job} Job */

const INTERVAL_MS = 2500;
const PAGE = 30;

/** Shows the jobs. */
export class JobList {
  /** @type {readonly Job[]} */
  #newest = [];
  /** @type {Job[]} */
  #older = [];
  /** @type {string | undefined} */
  #next;
  #chosen = "";
  #shown = "";
  #place;
  #more;
  #onJobs;

  /**
   * @param {HTMLUListElement} place
   * @param {HTMLButtonElement} more Shows the next page.
   * @param {(jobs: readonly Job[]) => void} onJobs Called with the newest jobs whenever they have been asked for.
   */
  constructor(place, more, onJobs) {
    this.#place = place;
    this.#more = more;
    this.#onJobs = onJobs;
    more.addEventListener("click", () => attempt(() => this.#readOlder(), more));
  }

  /** Shows the list and keeps it up to date. */
  async start() {
    await this.refresh();
    const again = async () => {
      if (!document.hidden) await this.refresh(true).catch(() => {});
      setTimeout(again, INTERVAL_MS);
    };
    setTimeout(again, INTERVAL_MS);
  }

  /** Asks for the newest jobs. */
  async refresh(quiet = false) {
    const page = await callJson(`/v1/training/jobs?limit=${PAGE}`, { quiet });
    this.#newest = page.jobs;
    if (this.#older.length === 0) this.#next = page.next;
    this.#show();
    this.#onJobs(this.#newest);
  }

  /** Marks a job as the one that is looked at. @param {string} id */
  choose(id) {
    this.#chosen = id;
    this.#show();
  }

  async #readOlder() {
    const page = await callJson(
      `/v1/training/jobs?limit=${PAGE}&after=${encodeURIComponent(this.#next ?? "")}`,
    );
    this.#older.push(...page.jobs);
    this.#next = page.next;
    this.#show();
  }

  #show() {
    const known = new Set(this.#newest.map(({ id }) => id));
    const jobs = [...this.#newest, ...this.#older.filter(({ id }) => !known.has(id))];
    this.#more.hidden = this.#next === undefined;
    const text = JSON.stringify([this.#chosen, jobs]);
    if (text === this.#shown) return;
    this.#shown = text;
    const focused = document.activeElement?.closest("[data-job]")?.getAttribute("data-job");
    this.#place.replaceChildren(
      ...jobs.map((job) => el("li", {}, this.#row(job))),
      ...jobs.length === 0 ? [el("li", { class: "quiet small" }, "Jobs are listed here.")] : [],
    );
    if (focused) {
      for (const link of this.#place.querySelectorAll("a")) if (link.dataset.job === focused) link.focus();
    }
  }

  /** @param {Job} job */
  #row(job) {
    const { id, step, steps, loss, position } = job;
    const facts = position === undefined
      ? `${step}${steps ? ` / ${steps}` : ""} steps${loss === undefined ? "" : ` · loss ${figure(loss, 4)}`}`
      : `number ${position} in the queue`;
    return el(
      "a",
      {
        href: naming("job", id),
        class: "job-row",
        "data-job": id,
        "aria-current": id === this.#chosen ? "true" : undefined,
      },
      el("span", { class: "job-name" }, id),
      stateBadge(job.state),
      el("span", { class: "quiet small number" }, facts),
    );
  }
}
