// @ts-check
/**
 * One job: what it is, how it goes, and what can be done with it. History comes from the pages of its figures, the rest and
 * all that is new from its events.
 *
 * @module
 */
import { callJson } from "../shared/api.js";
import { el, setText } from "../shared/dom.js";
import { showProblem } from "../shared/notice.js";
import { jobCharts } from "./chart.js";
import { Checkpoints } from "./checkpoints.js";
import { jobControls } from "./controls.js";
import { followJob } from "./follow.js";
import { JobFacts } from "./job_facts.js";
import { JobLog } from "./job_log.js";
import { KernelTimes } from "./kernel_times.js";
import { Samples } from "./samples.js";
import { Series } from "./series.js";
import { stateBadge } from "./state.js";

/** @typedef {import("../wire.d.ts").Job} Job */
/** @typedef {import("../wire.d.ts").JobEvent} JobEvent */

/** Least time between drawings, in milliseconds. */
const DRAW_MS = 100;
const METRICS_PAGE = 1000;

/** The view of a job; it follows the job until it is closed. */
export class JobView {
  /** @type {string} */
  id;
  /** @type {Job | undefined} */
  #job;
  #gone = new AbortController();
  #series = new Series();
  #charts = jobCharts(this.#series);
  #facts = new JobFacts();
  #log = new JobLog();
  #kernels;
  #samples;
  #checkpoints;
  #title;
  #connection = el("span", { class: "quiet small", role: "status" });
  #controls = el("div", { class: "actions" });
  #error = el("p", { class: "job-error", role: "alert", hidden: true });
  #isDrawingDue = false;
  #isPresent = false;
  /** @type {import("../wire.d.ts").StepMetrics | undefined} */
  #newest;
  #onChange;

  /**
   * @param {string} id
   * @param {HTMLElement} place
   * @param {() => unknown} onChange Called when the job's state has changed.
   */
  constructor(id, place, onChange) {
    this.id = id;
    this.#onChange = onChange;
    this.#samples = new Samples(id);
    this.#kernels = new KernelTimes(id);
    this.#checkpoints = new Checkpoints(id);
    this.#title = el("div", { class: "job-title", "aria-live": "polite" }, el("h2", { tabindex: "-1" }, id));
    place.replaceChildren(
      el("div", { class: "bar job-head" }, this.#title, this.#connection, this.#controls),
      this.#error,
      this.#facts.element,
      el("div", { class: "charts" }, ...this.#charts.map(({ element }) => element)),
      el(
        "div",
        { class: "details" },
        this.#samples.element,
        this.#checkpoints.element,
        this.#kernels.element,
        this.#log.element,
        this.#facts.configuration,
      ),
    );
    this.#start().catch((problem) => {
      if (this.#gone.signal.aborted) return;
      this.#error.hidden = false;
      setText(this.#error, problem instanceof Error ? problem.message : String(problem));
    });
  }

  /** Lets go of everything. */
  close() {
    this.#gone.abort();
    for (const chart of this.#charts) chart.close();
  }

  async #start() {
    await this.#refresh();
    await this.#readMetrics();
    this.#checkpoints.refresh().catch(showProblem);
    await followJob(this.id, {
      onEvent: (event) => this.#take(event),
      onConnection: (isConnected) => setText(this.#connection, isConnected ? "" : "reconnecting …"),
    }, this.#gone.signal);
  }

  async #refresh() {
    const job = await callJson(this.#path(), { signal: this.#gone.signal });
    this.#show(job);
  }

  async #readMetrics() {
    for (let after = 0; !this.#gone.signal.aborted;) {
      const { metrics, next } = await callJson(
        `${this.#path()}/metrics?limit=${METRICS_PAGE}&after=${after}`,
        {
          signal: this.#gone.signal,
        },
      );
      for (const step of metrics) this.#series.add(step);
      this.#draw();
      if (next === undefined) return;
      after = next;
    }
  }

  /** @param {JobEvent} event */
  #take(event) {
    const { kind } = event;
    const data = /** @type {any} */ (event.data);
    this.#log.add(event);
    this.#draw();
    if (kind === "step") {
      this.#series.add(data);
      // While the past is told again, the figures stay those of the present.
      this.#isPresent ||= data.step >= (this.#job?.step ?? 0);
      if (this.#isPresent) this.#newest = data;
    } else if (kind === "validation") this.#series.addValidation(data.step, data.loss);
    else if (kind === "sample") this.#samples.add(data.step, data.text);
    else if (kind === "checkpoint") this.#later("checkpoints", () => this.#checkpoints.refresh());
    else if (kind === "compiled") this.#facts.compiled(data);
    else if (kind === "profile") this.#later("profile", () => this.#kernels.show(data.summary));
    else if (kind === "state" || kind === "plan") {
      this.#later("job", async () => {
        await this.#refresh();
        this.#onChange();
      });
    }
  }

  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #timers = new Map();

  /**
   * Does something soon, once for all events that come until then.
   *
   * @param {string} name
   * @param {() => Promise<unknown>} action
   */
  #later(name, action) {
    clearTimeout(this.#timers.get(name));
    const timer = setTimeout(() => this.#gone.signal.aborted || action().catch(showProblem), DRAW_MS);
    this.#timers.set(name, timer);
  }

  /** @param {Job} job */
  #show(job) {
    const before = this.#job?.state;
    this.#job = job;
    this.#facts.job(job);
    this.#samples.isRunning = job.state === "running";
    this.#error.hidden = job.error === undefined;
    setText(this.#error, job.error ?? "");
    if (before === job.state && job.position === undefined) return;
    const place = job.position === undefined ? "" : ` number ${job.position} in the queue`;
    this.#title.replaceChildren(
      /** @type {Node} */ (this.#title.firstChild),
      stateBadge(job.state),
      el("span", { class: "quiet small" }, place),
    );
    const hadFocus = this.#controls.contains(document.activeElement);
    this.#controls.replaceChildren(...jobControls(job, (changed) => {
      this.#show(changed);
      this.#onChange();
    }, () => this.#checkpoints.refresh()));
    if (hadFocus) this.#controls.querySelector("button")?.focus();
  }

  #draw() {
    if (this.#isDrawingDue) return;
    this.#isDrawingDue = true;
    setTimeout(() => {
      this.#isDrawingDue = false;
      if (this.#gone.signal.aborted) return;
      if (this.#newest) this.#facts.step(this.#newest);
      this.#log.draw();
      for (const chart of this.#charts) chart.draw();
    }, DRAW_MS);
  }

  #path() {
    return `/v1/training/jobs/${encodeURIComponent(this.id)}`;
  }
}
