// @ts-check
/**
 * The maps of all heads, small, side by side: a row for each layer.
 *
 * @module
 */
import { el } from "./dom.js";
import { mainPattern, SCORE_NAMES } from "./frames.js";

/** @import { Colours } from "./colours.js" */
/** @import { Frames } from "./frames.js" */

/** Largest side of a map, in pixels. */
const MOST = 150;

export class HeadGrid {
  #frames;
  /** @type {{ button: HTMLButtonElement, bar: HTMLElement, pixels: ImageData, paint: CanvasRenderingContext2D }[]} */
  #heads = [];

  /**
   * @param {HTMLElement} place
   * @param {Frames} frames
   * @param {(head: number) => void} onPick
   */
  constructor(place, frames, onPick) {
    this.#frames = frames;
    const { size, data: { model: { layers, heads } } } = frames;
    place.style.setProperty("--heads", String(heads));
    place.style.setProperty("--most", `${MOST}px`);
    place.append(el("span"));
    for (let h = 0; h < heads; h++) place.append(el("span", { class: "label above" }, String(h)));
    for (let layer = 0; layer < layers; layer++) {
      place.append(el("span", { class: "label" }, String(layer)));
      for (let h = 0; h < heads; h++) {
        const head = layer * heads + h;
        const canvas = el("canvas", { width: size, height: size });
        const bar = el("i");
        const button = el(
          "button",
          {
            type: "button",
            class: "head",
            "aria-label": `Layer ${layer}, head ${h}`,
            onclick: () => onPick(head),
          },
          canvas,
          bar,
        );
        const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
        this.#heads.push({ button, bar, paint, pixels: paint.createImageData(size, size) });
        place.append(button);
      }
    }
  }

  /**
   * @param {number} index Of the step.
   * @param {number} chosen Head that is enlarged.
   * @param {Colours} colours
   */
  show(index, chosen, { ramp }) {
    const { size, data: { model } } = this.#frames;
    this.#heads.forEach(({ button, bar, pixels, paint }, head) => {
      const map = this.#frames.map(index, head);
      const words = new Uint32Array(pixels.data.buffer);
      for (let row = 0, at = 0; row < size; row++) {
        for (let column = 0; column <= row; column++) words[row * size + column] = ramp[map[at++]];
      }
      paint.putImageData(pixels, 0, 0);
      const { name, score } = mainPattern(this.#frames, index, head);
      bar.style.width = `${100 * score}%`;
      bar.style.background = `var(--${name})`;
      button.title = `layer ${Math.floor(head / model.heads)}, head ${head % model.heads}: ${
        SCORE_NAMES[name]
      } ${score.toFixed(2)}`;
      button.setAttribute("aria-pressed", String(head === chosen));
    });
  }
}
