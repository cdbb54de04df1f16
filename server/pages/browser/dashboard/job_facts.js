// @ts-check
/**
 * A job's newest figures and progress, and what it was asked for.
 *
 * @module
 */
import { el, setText } from "../shared/dom.js";
import { bytes, clock, count, duration, figure, NONE, short } from "../shared/format.js";

/** @typedef {import("../wire.d.ts").Job} Job */
/** @typedef {import("../wire.d.ts").StepMetrics} StepMetrics */

const NAMES =
  /** @type {const} */ (["Step", "Loss", "Validation", "Tokens/s", "Step time", "Left", "Memory"]);

/** The figures of a job. */
export class JobFacts {
  /** @type {Record<typeof NAMES[number], HTMLElement>} */
  #values =
    /** @type {any} */ (Object.fromEntries(NAMES.map((name) => [name, el("dd", { class: "number" }, NONE)])));
  #progress = el("progress", { max: "1", value: "0", "aria-label": "Progress" });
  element = el(
    "div",
    { class: "panel facts-panel" },
    el(
      "dl",
      { class: "facts" },
      ...NAMES.map((name) => el("div", {}, el("dt", {}, name), this.#values[name])),
    ),
    this.#progress,
  );
  #table = el("tbody", {});
  /** What was asked for and what it became. */
  configuration = el(
    "section",
    { class: "panel", "aria-label": "Configuration" },
    el("h3", {}, "Configuration"),
    el("div", { class: "scroll" }, el("table", {}, this.#table)),
  );
  /** @type {Job | undefined} */
  #job;
  #done = 0;

  /** Shows a job as it is now. @param {Job} job */
  job(job) {
    this.#job = job;
    this.#done = Math.max(this.#done, job.step);
    this.#steps();
    if (job.loss !== undefined) setText(this.#values.Loss, figure(job.loss));
    if (job.validationLoss !== undefined) setText(this.#values.Validation, figure(job.validationLoss));
    if (job.tokensPerSecond !== undefined) setText(this.#values["Tokens/s"], short(job.tokensPerSecond));
    if (job.state !== "running") setText(this.#values.Left, NONE);
    this.#configure(job);
  }

  /** Shows the newest step. @param {StepMetrics} metrics */
  step({ step, loss, tokensPerSecond, ms }) {
    this.#done = step;
    this.#steps();
    setText(this.#values.Loss, figure(loss));
    setText(this.#values["Tokens/s"], short(tokensPerSecond));
    setText(this.#values["Step time"], duration(ms));
    const steps = this.#job?.steps;
    const isRunning = this.#job?.state === "running";
    setText(
      this.#values.Left,
      steps && ms && isRunning && steps > step ? duration((steps - step) * ms) : NONE,
    );
  }

  /** @param {{peakBytes: number}} compiled */
  compiled({ peakBytes }) {
    setText(this.#values.Memory, bytes(peakBytes));
  }

  #steps() {
    const steps = this.#job?.steps;
    setText(this.#values.Step, steps ? `${count(this.#done)} / ${count(steps)}` : count(this.#done));
    if (steps) {
      this.#progress.max = steps;
      this.#progress.value = this.#done;
    }
  }

  /** @param {Job} job */
  #configure({ config, plan, createdAt, startedAt, endedAt }) {
    const { model, ...rest } = /** @type {any} */ (plan ?? {});
    const all = { ...config, ...rest, ...model };
    const rows = Object.entries(all).map(([name, value]) => [
      name,
      typeof value === "object" ? JSON.stringify(value) : String(value),
      name in config ? "asked for" : "chosen",
    ]);
    const times = [["created", createdAt], ["started", startedAt], ["ended", endedAt]].flatMap((
      [name, time],
    ) => time ? [[`${name}`, clock(time), ""]] : []);
    this.#table.replaceChildren(
      ...[...times, ...rows].map(([name, value, origin]) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, name),
          el("td", { class: "mono" }, value),
          el("td", { class: "quiet small" }, origin),
        )
      ),
    );
  }
}
