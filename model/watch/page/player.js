// @ts-check
/**
 * The slider over steps: by pointer, by keys, or by itself.
 *
 * @module
 */
import { byId, el } from "./dom.js";

/** A whole run plays in about so many milliseconds. */
const WHOLE_MS = 9000;
const FASTEST_MS = 90;
const SLOWEST_MS = 700;

export class Player {
  #slider = byId("step", HTMLInputElement);
  #button = byId("play", HTMLButtonElement);
  #length;
  #onStep;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {readonly number[]} steps
   * @param {(index: number) => void} onStep
   */
  constructor(steps, onStep) {
    this.#length = steps.length;
    this.#onStep = onStep;
    this.#slider.max = String(steps.length - 1);
    this.#slider.addEventListener("input", () => {
      this.stop();
      onStep(this.index);
    });
    this.#button.addEventListener("click", () => this.toggle());
    byId("player", HTMLElement).hidden = steps.length < 2;
    const last = Math.max(1, steps.length - 1);
    byId("ticks", HTMLElement).append(
      ...steps.map((_, i) => el("i", { style: `left: ${100 * i / last}%` })),
    );
  }

  /** Of the step that is shown. */
  get index() {
    return Number(this.#slider.value);
  }

  /** Goes to a step. @param {number} index */
  go(index) {
    const next = Math.max(0, Math.min(this.#length - 1, index));
    this.#slider.value = String(next);
    this.#onStep(next);
  }

  toggle() {
    if (this.#timer !== undefined) return this.stop();
    if (this.#length < 2) return;
    if (this.index === this.#length - 1) this.go(0);
    const each = Math.max(FASTEST_MS, Math.min(SLOWEST_MS, WHOLE_MS / this.#length));
    this.#timer = setInterval(() => {
      if (this.index === this.#length - 1) this.stop();
      else this.go(this.index + 1);
    }, each);
    this.#show("Pause", "❚❚");
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#show("Play", "▶");
  }

  /** @param {string} name @param {string} sign */
  #show(name, sign) {
    this.#button.setAttribute("aria-label", name);
    this.#button.title = `${name} (space)`;
    this.#button.textContent = sign;
  }
}
