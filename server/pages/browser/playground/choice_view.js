// @ts-check
/**
 * One continuation as it grows. With log-probabilities each token can be looked at, by pointer or by arrow keys; the surer
 * the model was, the paler its ground.
 *
 * @module
 */
import { el, setText } from "../shared/dom.js";

/** @typedef {import("../wire.d.ts").TokenEvent} TokenEvent */

/** Grounds of tokens, from sure to surprised; see the style sheet. */
const SURPRISES = [0.7, 0.4, 0.15, 0.04];

/** A continuation. */
export class ChoiceView {
  /** @type {{token: TokenEvent, span: HTMLElement}[]} */
  #tokens = [];
  /** Text that belongs to no token. */
  #tail = document.createTextNode("");
  #body = el("p", { class: "text" });
  #state = el("span", { class: "quiet small" }, "…");
  #onToken;
  #withTokens;
  element;

  /**
   * @param {string} prompt Comes before it, in a quiet colour.
   * @param {string} title
   * @param {boolean} withTokens Tokens can be looked at.
   * @param {(token: TokenEvent) => void} onToken Called with the token that is looked at.
   */
  constructor(prompt, title, withTokens, onToken) {
    this.#onToken = onToken;
    this.#withTokens = withTokens;
    this.#body.append(el("span", { class: "quiet" }, prompt), this.#tail);
    this.element = el(
      "article",
      { class: "panel choice", "aria-label": title },
      el("div", { class: "bar" }, el("h2", {}, title), this.#state),
      this.#body,
    );
    if (withTokens) this.#listen();
  }

  /** Adds a token. @param {TokenEvent} token */
  add(token) {
    if (!this.#withTokens || token.token === undefined) {
      this.#tail.appendData(token.text);
      return;
    }
    const isFirst = this.#tokens.length === 0;
    const span = el(
      "span",
      { class: `token ${surprise(token.logprob)}`, tabindex: isFirst ? "0" : "-1" },
      token.text,
    );
    this.#tokens.push({ token, span });
    this.#tail = document.createTextNode("");
    this.#body.append(span, this.#tail);
  }

  /** Says how it ended. @param {string} reason */
  end(reason) {
    setText(this.#state, reason);
  }

  #listen() {
    /** @param {EventTarget | null} target */
    const look = (target) => {
      const found = this.#tokens.find(({ span }) => span === target);
      if (found) this.#onToken(found.token);
    };
    this.#body.addEventListener("pointerover", ({ target }) => look(target));
    this.#body.addEventListener("focusin", ({ target }) => look(target));
    this.#body.addEventListener("keydown", (event) => {
      const at = this.#tokens.findIndex(({ span }) => span === document.activeElement);
      const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
      const move = moves[/** @type {keyof typeof moves} */ (event.key)];
      if (at < 0 || move === undefined) return;
      event.preventDefault();
      const next = this.#tokens[Math.min(this.#tokens.length - 1, Math.max(0, at + move))].span;
      this.#tokens[at].span.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }
}

/** @param {number | undefined} logprob */
function surprise(logprob) {
  if (logprob === undefined) return "";
  const at = SURPRISES.findIndex((bound) => Math.exp(logprob) >= bound);
  return `s${at < 0 ? SURPRISES.length : at}`;
}
