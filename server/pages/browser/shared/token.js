// @ts-check
/**
 * The server's token: asked for when the server wants one, kept for this tab only.
 *
 * @module
 */
import { el } from "./dom.js";

const KEY = "sinter.token";

/** @type {Promise<boolean> | undefined} */
let open;

/** The token that the user gave; undefined when there is none. */
export function token() {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** Forgets the token. */
export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/**
 * Asks for a token. Whoever asks while the dialog is open waits for the same answer.
 *
 * @param {string} reason Why: the server's words.
 * @returns {Promise<boolean>} False when the user would rather not.
 */
export function askForToken(reason) {
  open ??= ask(reason).finally(() => open = undefined);
  return open;
}

/** @param {string} reason @returns {Promise<boolean>} */
function ask(reason) {
  const input = el("input", {
    id: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    "aria-describedby": "token-reason",
  });
  const cancel = el("button", { type: "button", class: "button" }, "Not now");
  const form = el(
    "form",
    { method: "dialog", class: "stack" },
    el("h2", {}, "This server wants a token"),
    el("p", { id: "token-reason" }, reason),
    el("label", { for: "token" }, "Token"),
    input,
    el(
      "p",
      { class: "quiet small" },
      "Whoever started the server has it: SINTER_TOKEN is for generation, SINTER_ADMIN_TOKEN for everything. " +
        "It stays in this tab and is sent to this server only.",
    ),
    el("div", { class: "actions" }, cancel, el("button", { class: "button primary" }, "Use it")),
  );
  const dialog = el("dialog", { class: "dialog narrow", "aria-label": "Token" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    form.addEventListener("submit", () => {
      sessionStorage.setItem(KEY, input.value.trim());
      dialog.close("given");
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "given");
    });
    dialog.showModal();
    input.focus();
  });
}
