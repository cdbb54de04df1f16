// @ts-check
/**
 * What the model expects after each token of the prompt.
 *
 * @module
 */
import { Chart } from "./chart.js";
import { el, percent, visible } from "./dom.js";

/** @import { Frames } from "./frames.js" */

export class Predictions {
  #frames;
  #detail;
  #onStep;
  /** @type {{ button: HTMLButtonElement, guess: HTMLElement, bar: HTMLElement }[]} */
  #tokens = [];
  #list = el("div");
  #curve = el("div");
  /** @type {Chart | undefined} */
  #chart;
  #position = -1;

  /**
   * @param {{ tokens: HTMLElement, detail: HTMLElement }} places
   * @param {Frames} frames
   * @param {{ onPick: (position: number) => void, onStep: (index: number) => void }} listeners
   */
  constructor({ tokens, detail }, frames, { onPick, onStep }) {
    this.#frames = frames;
    this.#detail = detail;
    this.#onStep = onStep;
    for (let position = 0; position < frames.size; position++) {
      const [guess, bar] = [el("span"), el("i")];
      const text = el("b", {}, visible(frames.promptText(position)));
      const button = el(
        "button",
        { type: "button", class: "token", onclick: () => onPick(position) },
        text,
        guess,
        bar,
      );
      this.#tokens.push({ button, guess, bar });
      tokens.append(button);
    }
    detail.append(this.#list, this.#curve);
  }

  /**
   * @param {number} index Of the step.
   * @param {number} chosen Position whose predictions are listed.
   */
  show(index, chosen) {
    const { data: { texts, prompt } } = this.#frames;
    this.#tokens.forEach(({ button, guess, bar }, position) => {
      const [{ token, probability }] = this.#frames.top(index, position);
      const next = this.#frames.next(index, position);
      guess.textContent = visible(texts[token]);
      button.classList.toggle("right", token === prompt[position + 1]);
      bar.style.width = `${100 * (next ?? 0)}%`;
      button.title = `expects “${visible(texts[token])}” ${percent(probability)}` +
        (next === undefined ? "" : `; what comes has ${percent(next)}`);
      button.setAttribute("aria-pressed", String(position === chosen));
    });
    this.#showDetail(index, chosen);
  }

  /** @param {number} index @param {number} position */
  #showDetail(index, position) {
    const { data: { texts, prompt, steps } } = this.#frames;
    const after = visible(this.#frames.promptText(position));
    const next = prompt[position + 1];
    const rows = this.#frames.top(index, position).map(({ token, probability }) =>
      el(
        "li",
        token === next ? { class: "right" } : {},
        el("span", {}, visible(texts[token])),
        el("i", { style: `width: ${100 * probability}%` }),
        el("em", {}, percent(probability)),
      )
    );
    this.#list.replaceChildren(
      el("h3", {}, `After “${after}” (${position})`),
      el("ol", {}, ...rows),
    );
    if (position !== this.#position) {
      this.#position = position;
      this.#chart = undefined;
      this.#curve.replaceChildren();
      if (next !== undefined && steps.length > 1) {
        this.#chart = new Chart({
          title: `Probability that “${visible(texts[next])}” comes, as it does`,
          steps,
          curves: [{
            name: "probability",
            colour: "--self",
            points: steps.map((step, i) => [step, this.#frames.next(i, position) ?? 0]),
            dots: true,
          }],
          range: [0, 1],
          onPick: this.#onStep,
        });
        this.#curve.append(this.#chart.element);
      }
      this.#detail.classList.toggle("single", this.#chart === undefined);
    }
    this.#chart?.show(index);
  }
}
