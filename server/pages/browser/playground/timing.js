// @ts-check
/**
 * How fast an answer came.
 *
 * @module
 */
import { el, setText } from "../shared/dom.js";
import { count, duration, figure, NONE } from "../shared/format.js";

const NAMES = /** @type {const} */ (["First token", "Tokens/s", "Tokens", "Prompt", "Seed"]);

/** Figures of an answer. */
export class Timing {
  /** @type {Record<typeof NAMES[number], HTMLElement>} */
  #values =
    /** @type {any} */ (Object.fromEntries(NAMES.map((name) => [name, el("dd", { class: "number" }, NONE)])));
  #start = 0;
  #first = 0;
  #tokens = 0;

  /** @param {HTMLElement} place A list of descriptions. */
  constructor(place) {
    place.replaceChildren(...NAMES.map((name) => el("div", {}, el("dt", {}, name), this.#values[name])));
  }

  /** A request goes out. */
  start() {
    this.#start = performance.now();
    this.#tokens = 0;
    for (const value of Object.values(this.#values)) setText(value, NONE);
  }

  /** A token has come. */
  add() {
    const now = performance.now();
    if (this.#tokens++ === 0) {
      this.#first = now;
      setText(this.#values["First token"], duration(now - this.#start));
    } else setText(this.#values["Tokens/s"], figure((this.#tokens - 1) / (now - this.#first) * 1000, 3));
    setText(this.#values.Tokens, count(this.#tokens));
  }

  /** The answer is whole. @param {{usage: {promptTokens: number, completionTokens: number}, seed: number}} end */
  end({ usage, seed }) {
    setText(this.#values.Prompt, `${count(usage.promptTokens)} tokens`);
    setText(this.#values.Tokens, count(usage.completionTokens));
    setText(this.#values.Seed, String(seed));
  }
}
