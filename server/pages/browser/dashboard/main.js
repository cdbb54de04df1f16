// @ts-check
/**
 * The dashboard: the list of jobs, and the job that the address names after `#`.
 *
 * @module
 */
import { named, naming } from "../shared/address.js";
import { byId } from "../shared/dom.js";
import { orRetry } from "../shared/retry.js";
import { startShell } from "../shared/shell.js";
import { showNoJobs } from "./empty.js";
import { JobList } from "./job_list.js";
import { JobView } from "./job_view.js";
import { showMachine } from "./machine.js";
import { openNewJob } from "./new_job.js";

const place = byId("job", HTMLElement);
/** @type {JobView | undefined} */
let view;

const list = new JobList(byId("jobs", HTMLUListElement), byId("older", HTMLButtonElement), onJobs);

/** @param {string} id */
function choose(id) {
  history.replaceState(null, "", naming("job", id));
  show();
}

function show() {
  const id = named("job");
  if (id === "") return;
  list.choose(id);
  if (view?.id === id) return;
  view?.close();
  view = new JobView(id, place, () => list.refresh());
}

/** @param {readonly import("../wire.d.ts").Job[]} jobs */
function onJobs(jobs) {
  if (view) return;
  const first = jobs.find(({ state }) => state === "running") ?? jobs[0];
  if (named("job") !== "") show();
  else if (first) choose(first.id);
  else showNoJobs(place, newJob);
}

function newJob() {
  openNewJob(async (job) => {
    await list.refresh();
    location.hash = naming("job", job.id);
    place.querySelector("h2")?.focus();
  });
}

byId("new-job", HTMLButtonElement).addEventListener("click", newJob);
addEventListener("hashchange", show);
startShell();
showMachine(byId("machine", HTMLElement));
orRetry(place, () => list.start());
