// @ts-check
/**
 * One score of all heads over all steps: a row for each head, a column for each step.
 *
 * @module
 */
import { el } from "./dom.js";
import { SCORE_HELP, SCORE_NAMES } from "./frames.js";

/** @import { Colours } from "./colours.js" */
/** @import { Frames } from "./frames.js" */

const LEFT = 26;
const BOTTOM = 4;
/** Scores below this are not drawn as if they were high. */
const LEAST_MAXIMUM = 0.2;

export class ScoreMap {
  #frames;
  #canvas = el("canvas", { class: "heat", role: "img" });
  #readout = el("p", { class: "readout small quiet" });
  #help;
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();
  #name = "induction";
  #shown = { index: 0, head: 0 };
  /** @type {Colours | undefined} */
  #colours;
  #geometry = { cell: 1, row: 1, gap: 2 };

  /**
   * @param {{ choices: HTMLElement, help: HTMLElement, map: HTMLElement }} places
   * @param {Frames} frames
   * @param {(index: number, head: number) => void} onPick
   */
  constructor({ choices, help, map }, frames, onPick) {
    this.#frames = frames;
    this.#help = help;
    if (!(this.#maximum() > LEAST_MAXIMUM)) this.#name = "previous";
    for (const name of frames.data.scores) {
      const button = el("button", {
        type: "button",
        class: "button",
        role: "radio",
        onclick: () => {
          this.#name = name;
          this.#draw();
        },
      }, SCORE_NAMES[name]);
      this.#buttons.set(name, button);
      choices.append(button);
    }
    map.append(this.#canvas, this.#readout);
    const at = (/** @type {MouseEvent} */ event) => this.#cellAt(event);
    this.#canvas.addEventListener("pointermove", (event) => this.#say(at(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#say(undefined));
    this.#canvas.addEventListener("click", (event) => {
      const cell = at(event);
      if (cell) onPick(cell.index, cell.head);
    });
    new ResizeObserver(() => this.#draw()).observe(map);
  }

  /**
   * @param {{ index: number, head: number }} shown Step and head that are marked.
   * @param {Colours} colours
   */
  show(shown, colours) {
    this.#shown = shown;
    this.#colours = colours;
    this.#draw();
  }

  /** The highest score that the map shows, or {@link LEAST_MAXIMUM}. */
  #maximum() {
    let highest = LEAST_MAXIMUM;
    for (let index = 0; index < this.#frames.length; index++) {
      for (let head = 0; head < this.#frames.heads; head++) {
        highest = Math.max(highest, this.#frames.score(index, head, this.#name) || 0);
      }
    }
    return highest;
  }

  /** Top of a head's row: layers are a little apart. @param {number} head */
  #top(head) {
    const { row, gap } = this.#geometry;
    return head * row + Math.floor(head / this.#frames.data.model.heads) * gap;
  }

  /** @param {MouseEvent} event */
  #cellAt({ offsetX, offsetY }) {
    const { row, cell, gap } = this.#geometry;
    const { heads } = this.#frames.data.model;
    const layer = Math.floor(offsetY / (heads * row + gap));
    const within = Math.floor((offsetY - layer * (heads * row + gap)) / row);
    const index = Math.floor((offsetX - LEFT) / cell);
    const head = layer * heads + within;
    const exists = index >= 0 && index < this.#frames.length && within < heads && head < this.#frames.heads;
    return exists ? { index, head } : undefined;
  }

  /** @param {{ index: number, head: number } | undefined} cell */
  #say(cell) {
    const { model: { heads }, steps } = this.#frames.data;
    const { index, head } = cell ?? this.#best();
    const score = this.#frames.score(index, head, this.#name);
    const figure = Number.isNaN(score) ? "–" : score.toFixed(2);
    const where = `layer ${Math.floor(head / heads)}, head ${head % heads}`;
    const when = steps[index] < 0 ? "" : ` at step ${steps[index]}`;
    this.#readout.textContent = cell ? `${where}${when}: ${figure}` : `highest${when}: ${where}, ${figure}`;
  }

  /** The head that has most of the score at the step that is shown. */
  #best() {
    const { index } = this.#shown;
    let best = 0;
    for (let head = 1; head < this.#frames.heads; head++) {
      if (this.#frames.score(index, head, this.#name) > this.#frames.score(index, best, this.#name)) {
        best = head;
      }
    }
    return { index, head: best };
  }

  #draw() {
    if (!this.#colours) return;
    const { heads, length, data: { model } } = this.#frames;
    const { ramp, of } = this.#colours;
    for (const [name, button] of this.#buttons) {
      button.setAttribute("aria-checked", String(name === this.#name));
    }
    this.#help.textContent = SCORE_HELP[this.#name];
    const width = this.#canvas.parentElement?.clientWidth ?? 0;
    if (width === 0) return;
    const row = Math.max(3, Math.min(18, Math.floor(430 / heads)));
    this.#geometry = { row, cell: Math.min(60, (width - LEFT) / length), gap: heads > model.heads ? 3 : 0 };
    const { cell } = this.#geometry;
    const height = this.#top(heads - 1) + row + BOTTOM;
    const ratio = devicePixelRatio;
    this.#canvas.width = width * ratio;
    this.#canvas.height = height * ratio;
    this.#canvas.style.height = `${height}px`;
    this.#canvas.setAttribute("aria-label", `${SCORE_NAMES[this.#name]} of every head at every step`);
    const paint = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    paint.scale(ratio, ratio);
    const pixel = new Uint8Array(4);
    const highest = this.#maximum();
    for (let head = 0; head < heads; head++) {
      for (let index = 0; index < length; index++) {
        const score = this.#frames.score(index, head, this.#name);
        if (Number.isNaN(score)) continue;
        new Uint32Array(pixel.buffer)[0] = ramp[Math.round(255 * score / highest)];
        paint.fillStyle = `rgb(${pixel[0]} ${pixel[1]} ${pixel[2]})`;
        paint.fillRect(LEFT + index * cell, this.#top(head), Math.ceil(cell), row - (row > 6 ? 1 : 0));
      }
    }
    paint.fillStyle = of("quiet");
    paint.font = "11px system-ui, sans-serif";
    paint.textBaseline = "middle";
    for (let layer = 0; layer < model.layers; layer++) {
      paint.fillText(String(layer), 4, this.#top(layer * model.heads) + model.heads * row / 2);
    }
    const { index, head } = this.#shown;
    paint.strokeStyle = of("accent");
    paint.lineWidth = 1.5;
    paint.strokeRect(LEFT + index * cell, 0.75, cell, height - BOTTOM - 0.75);
    paint.strokeRect(LEFT, this.#top(head) - 0.5, cell * length, row + (row > 6 ? 0 : 1));
    this.#say(undefined);
  }
}
