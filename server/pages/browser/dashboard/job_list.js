// @ts-check
/**
 * The list of jobs, newest first, with their states and places in the queue; asked for again every few seconds.
 *
 * @module
 */
import { naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { el, setText } from "../shared/dom.js";
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
  /** @type {Map<string, JobRow>} */
  #rows = new Map();
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
    const rows = jobs.map((job) => {
      const row = this.#rows.get(job.id) ?? new JobRow(job.id);
      this.#rows.set(job.id, row);
      row.show(job, job.id === this.#chosen);
      return row.element;
    });
    const shown = this.#place.children;
    if (rows.length === 0) {
      this.#place.replaceChildren(el("li", { class: "quiet small" }, "Jobs are listed here."));
    } else if (rows.length !== shown.length || rows.some((row, at) => row !== shown[at])) {
      const focused = document.activeElement;
      this.#place.replaceChildren(...rows);
      if (focused instanceof HTMLElement && this.#place.contains(focused)) focused.focus();
    }
  }
}

/** A job in the list. */
class JobRow {
  #badge = el("span", {});
  #facts = el("span", { class: "quiet small number" });
  #link;
  /** The item of the list. */
  element;

  /** @param {string} id */
  constructor(id) {
    this.#link = el(
      "a",
      { href: naming("job", id), class: "job-row" },
      el("span", { class: "job-name" }, id),
      this.#badge,
      this.#facts,
    );
    this.element = el("li", {}, this.#link);
  }

  /**
   * @param {Job} job
   * @param {boolean} isChosen
   */
  show({ state, step, steps, loss, position }, isChosen) {
    if (this.#badge.textContent !== state) {
      const badge = stateBadge(state);
      this.#badge.replaceWith(badge);
      this.#badge = badge;
    }
    const progress = `${step}${steps ? ` / ${steps}` : ""} steps`;
    const facts = loss === undefined ? progress : `${progress} · loss ${figure(loss, 4)}`;
    setText(this.#facts, position === undefined ? facts : `number ${position} in the queue`);
    if (isChosen) this.#link.setAttribute("aria-current", "true");
    else this.#link.removeAttribute("aria-current");
  }
}
