// @ts-check
/**
 * Brings the header of a page to life.
 *
 * @module
 */
import { byId, el } from "./dom.js";
import { count } from "./format.js";
import { onServerStatus, watchServer } from "./status.js";
import { themeSwitch } from "./theme.js";
import { forgetToken, token } from "./token.js";

const DOTS = { ready: "good", starting: "busy", recovering: "busy", draining: "busy" };

/** Begins to show how the server is. Every page calls it once. */
export function startShell() {
  themeSwitch(byId("theme", HTMLButtonElement));
  const place = byId("status", HTMLElement);
  const forget = el(
    "button",
    { class: "link", title: "This tab forgets the token that you gave it" },
    "forget token",
  );
  forget.addEventListener("click", () => {
    forgetToken();
    location.reload();
  });
  let shown = "";
  onServerStatus(({ phase, figures }) => {
    const dot = DOTS[/** @type {keyof typeof DOTS} */ (phase)] ?? "bad";
    const parts = [el("span", {}, el("span", { class: `dot ${dot}` }), phase)];
    const slots = figures?.get("sinter_generation_slots");
    if (figures && slots) {
      const running = figures.get("sinter_generation_running");
      const waiting = figures.get("sinter_generation_waiting");
      parts.push(
        el(
          "span",
          { title: "Texts that are being generated, of the places there are" },
          "generating ",
          el("b", {}, `${count(running)}/${count(slots)}`),
        ),
      );
      if (waiting) parts.push(el("span", {}, "waiting ", el("b", {}, count(waiting))));
    }
    if (token() !== undefined) parts.push(forget);
    const text = parts.map((part) => part.textContent).join();
    if (text !== shown) place.replaceChildren(...parts);
    shown = text;
  });
  watchServer();
}
