// @ts-check
/**
 * What can be done with a job in its state.
 *
 * @module
 */
import { naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { el } from "../shared/dom.js";
import { attempt, showDone } from "../shared/notice.js";

/** @typedef {import("../wire.d.ts").Job} Job */

/**
 * Buttons for a job, and a link to its model where it may have been saved.
 *
 * @param {Job} job
 * @param {(job: Job) => void} onJob Called with the job as it is afterwards.
 * @param {() => Promise<unknown>} onCheckpoint Called when one has been saved.
 */
export function jobControls({ id, state }, onJob, onCheckpoint) {
  /** @param {string} name */
  const post = (name) => callJson(`/v1/training/jobs/${encodeURIComponent(id)}/${name}`, { method: "POST" });
  const pause = button(
    "Pause",
    "Saves a checkpoint and gives the device up",
    async () => onJob(await post("pause")),
  );
  const resume = button("Resume", "Queues the job again", async () => onJob(await post("resume")));
  const save = button("Save checkpoint", "Saves the weights as they are now", async () => {
    const { step } = await post("checkpoint");
    showDone(`The checkpoint of step ${step} is saved.`);
    await onCheckpoint();
  });
  const cancel = button("Cancel", "Ends the job; its checkpoints stay", async () => {
    if (confirm(`End the job ${id}? Its checkpoints stay.`)) onJob(await post("cancel"));
  });
  cancel.classList.add("danger");
  const use = el("a", { class: "button", href: `/playground${naming("model", id)}` }, "Try the model");
  if (state === "running") return [pause, save, cancel];
  if (state === "queued") return [pause, cancel];
  if (state === "paused") return [resume, cancel, use];
  return state === "failed" ? [resume, use] : [use];
}

/**
 * @param {string} name
 * @param {string} title
 * @param {() => Promise<unknown>} action
 */
function button(name, title, action) {
  const made = el("button", { class: "button", title }, name);
  made.addEventListener("click", () => attempt(action, made));
  return made;
}
