// @ts-check
/**
 * The playground: a prompt, options, and the texts as the model writes them.
 *
 * @module
 */
import { ApiProblem, call } from "../shared/api.js";
import { byId, el, setText } from "../shared/dom.js";
import { eventsOf } from "../shared/event_stream.js";
import { showProblem } from "../shared/notice.js";
import { orRetry } from "../shared/retry.js";
import { startShell } from "../shared/shell.js";
import { ChoiceView } from "./choice_view.js";
import { readModels } from "./models.js";
import { acceptOptions, chosenOptions, OPTIONS, refuseOption } from "./options.js";
import { Timing } from "./timing.js";
import { showToken } from "./token_detail.js";

/** Ends in words. */
const ENDS = { stop: "ended", length: "all tokens drawn", deadline: "out of time" };

/** More are refused by the server. */
const MOST_CHOICES = 16;

const form = byId("form", HTMLFormElement);
const prompt = byId("prompt", HTMLTextAreaElement);
const model = byId("model", HTMLSelectElement);
const generate = byId("generate", HTMLButtonElement);
const stop = byId("stop", HTMLButtonElement);
const choices = byId("choices", HTMLElement);
const detail = byId("token-detail", HTMLElement);
const announcement = byId("announcement", HTMLElement);
const timing = new Timing(byId("facts", HTMLElement));

/** @type {AbortController | undefined} */
let current;

async function start() {
  if (current || !form.reportValidity()) return;
  const chosen = chosenOptions();
  const abort = current = new AbortController();
  switchButtons(generate, stop);
  acceptOptions();
  detail.replaceChildren();
  setText(announcement, "Generating.");
  const views = makeViews(Number(chosen.n ?? 1) || 1, chosen.logprobs !== undefined);
  try {
    timing.start();
    const body = {
      ...chosen,
      prompt: prompt.value,
      stream: true,
      ...model.value ? { model: model.value } : {},
    };
    const response = await call("/generate", { method: "POST", body, signal: abort.signal });
    await read(response, views);
    setText(announcement, "The text is complete.");
  } catch (problem) {
    const reason = abort.signal.aborted ? "stopped" : "broken off";
    for (const view of views) view.end(reason);
    setText(announcement, `Generation was ${reason}.`);
    const isShown = problem instanceof ApiProblem && refuseOption(problem.param, problem.message);
    if (isShown) options.open = true;
    if (!isShown) showProblem(problem);
  } finally {
    current = undefined;
    switchButtons(stop, generate);
  }
}

/**
 * Takes one button out of use and the other into it; the focus goes along.
 *
 * @param {HTMLButtonElement} off
 * @param {HTMLButtonElement} on
 */
function switchButtons(off, on) {
  const hadFocus = document.activeElement === off;
  on.disabled = false;
  if (hadFocus) on.focus();
  off.disabled = true;
}

/**
 * @param {number} count
 * @param {boolean} withTokens
 */
function makeViews(count, withTokens) {
  const titles = Array.from(
    { length: Math.min(count, MOST_CHOICES) },
    (_, at) => count > 1 ? `Text ${at + 1}` : "Text",
  );
  const views = titles.map((title) =>
    new ChoiceView(prompt.value, title, withTokens, (token) => showToken(detail, token))
  );
  choices.replaceChildren(...views.map(({ element }) => element));
  return views;
}

/**
 * @param {Response} response
 * @param {readonly ChoiceView[]} views
 */
async function read(response, views) {
  for await (const { event, data: text } of eventsOf(response)) {
    const data = JSON.parse(text);
    if (event === "token") {
      views[data.index].add(data);
      timing.add();
    } else if (event === "finish") {
      views[data.index].end(ENDS[/** @type {keyof typeof ENDS} */ (data.finishReason)] ?? data.finishReason);
    } else if (event === "end") {
      timing.end(data);
      return;
    } else if (event === "error") throw new ApiProblem(data.error.message, data.error);
  }
  throw new ApiProblem("The answer broke off. Is the server still running?");
}

function showNoModels() {
  choices.replaceChildren(
    el(
      "div",
      { class: "empty" },
      el("h2", {}, "No model yet"),
      el("p", {}, "A model can be asked once a training job has saved its first checkpoint."),
      el("a", { href: "/" }, "Start a training job"),
    ),
  );
}

function showHelp() {
  choices.replaceChildren(
    el(
      "div",
      { class: "empty" },
      el(
        "p",
        { class: "quiet" },
        "Type the beginning of a text, then press Generate. The model goes on with it here.",
      ),
    ),
  );
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
stop.addEventListener("click", () => current?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") current?.abort();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
});

const options = byId("options", HTMLDetailsElement);
options.append(el("div", { class: "fields" }, ...OPTIONS.map(({ element }) => element)));
// On a phone the answer would be far below.
options.open = !matchMedia("(max-width: 56rem)").matches;
startShell();
orRetry(choices, async () => {
  const hasModels = await readModels(model);
  if (!hasModels) showNoModels();
  else if (!choices.querySelector(".choice")) showHelp();
});
