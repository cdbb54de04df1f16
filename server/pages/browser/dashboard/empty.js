// @ts-check
/**
 * What a newcomer sees: how to get a first job.
 *
 * @module
 */
import { el } from "../shared/dom.js";

/**
 * @param {HTMLElement} place
 * @param {() => void} newJob Opens the form.
 */
export function showNoJobs(place, newJob) {
  const command = `curl ${location.origin}/v1/training/jobs -H 'Content-Type: application/json' \\
  -d '{"preset": "nano", "steps": 400}'`;
  place.replaceChildren(
    el(
      "div",
      { class: "empty" },
      el("h2", {}, "No training jobs yet"),
      el(
        "p",
        {},
        "A job trains a GPT-2 model on a text with this machine's WebGPU adapter. The nano model learns to write " +
          "something like Moby-Dick in a few minutes, even on a processor. Its losses, samples and checkpoints show " +
          "up here while it runs.",
      ),
      el("button", { class: "button primary", onclick: newJob }, "Start a first job"),
      el("p", { class: "quiet" }, "Or from a terminal:"),
      el("pre", {}, command),
    ),
  );
}
