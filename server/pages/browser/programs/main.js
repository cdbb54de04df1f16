// @ts-check
/**
 * The programs: a list, or the one that the address names after `#`, with a launch after `/`.
 *
 * @module
 */
import { named, naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { byId, el } from "../shared/dom.js";
import { orRetry } from "../shared/retry.js";
import { startShell } from "../shared/shell.js";
import { programList } from "./program_list.js";
import { programView } from "./program_view.js";

const place = byId("main", HTMLElement);
/** The program that is shown; empty for the list. @type {string | undefined} */
let shown;
/** Counts what was asked for: only the last one is shown. */
let asked = 0;

async function show() {
  const [hash, launch] = named("program").split("/");
  if (hash === shown) return;
  shown = undefined;
  const turn = ++asked;
  place.replaceChildren(el("p", { class: "quiet", role: "status" }, "Reading …"));
  const view = hash === "" ? programList((await callJson("/v1/programs")).programs) : programView(
    await callJson(`/v1/programs/${encodeURIComponent(hash)}`),
    launch === undefined ? undefined : Number(launch) - 1,
    (index) => history.replaceState(null, "", naming("program", `${hash}/${index + 1}`)),
  );
  if (turn !== asked) return;
  shown = hash;
  place.replaceChildren(view);
  view.querySelector("h1")?.focus({ preventScroll: true });
}

addEventListener("hashchange", () => orRetry(place, show));
startShell();
orRetry(place, show);
