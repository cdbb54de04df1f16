// @ts-check
/**
 * The programs: a list, or the one that the address names after `#`, with a launch after `/`.
 *
 * @module
 */
import { named, naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { byId, el } from "../shared/dom.js";
import { attempt } from "../shared/notice.js";
import { startShell } from "../shared/shell.js";
import { programList } from "./program_list.js";
import { programView } from "./program_view.js";

const place = byId("main", HTMLElement);
let shown = "";

async function show() {
  const [hash, launch] = named("program").split("/");
  if (hash === shown && place.firstChild) return;
  shown = hash;
  place.replaceChildren(el("p", { class: "quiet" }, "Reading …"));
  const view = hash === "" ? programList((await callJson("/v1/programs")).programs) : programView(
    await callJson(`/v1/programs/${encodeURIComponent(hash)}`),
    launch === undefined ? undefined : Number(launch) - 1,
    (index) => history.replaceState(null, "", naming("program", `${hash}/${index + 1}`)),
  );
  if (hash !== shown) return;
  place.replaceChildren(view);
  view.querySelector("h1")?.focus({ preventScroll: true });
}

addEventListener("hashchange", () => attempt(show));
startShell();
attempt(show);
