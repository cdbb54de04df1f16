// @ts-check
/**
 * One head, enlarged: tokens on both axes, and the weight under the pointer in words.
 *
 * @module
 */
import { el, percent, visible } from "./dom.js";
import { SCORE_NAMES } from "./frames.js";

/** @import { Colours } from "./colours.js" */
/** @import { Frames } from "./frames.js" */

/** Largest side of a cell, in pixels. */
const MOST_CELL = 34;
/** Longest label, in characters. */
const MOST_LABEL = 9;

export class LargeHead {
  #frames;
  #title = el("h2");
  #figures = el("p", { class: "figures quiet small" });
  #canvas = el("canvas", { role: "img" });
  #readout = el("p", { class: "readout small", "aria-live": "off" });
  #scale = el("p", { class: "scale quiet" }, "0", el("i"), "1");
  /** @type {{ row: number, column: number } | undefined} */
  #hover;
  #shown = { index: 0, head: 0, position: 0 };
  /** @type {Colours | undefined} */
  #colours;
  #geometry = { cell: 1, left: 0, top: 0 };

  /**
   * @param {HTMLElement} place
   * @param {Frames} frames
   * @param {(position: number) => void} onPick Called with the token whose row was clicked.
   */
  constructor(place, frames, onPick) {
    this.#frames = frames;
    place.append(this.#title, this.#figures, this.#canvas, this.#readout, this.#scale);
    this.#canvas.addEventListener("pointermove", (event) => {
      this.#hover = this.#cellAt(event);
      this.#draw();
    });
    this.#canvas.addEventListener("pointerleave", () => {
      this.#hover = undefined;
      this.#draw();
    });
    this.#canvas.addEventListener("click", (event) => {
      const cell = this.#cellAt(event);
      if (cell) onPick(cell.row);
    });
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  /**
   * @param {{ index: number, head: number, position: number }} shown Step, head, and row that is marked.
   * @param {Colours} colours
   */
  show(shown, colours) {
    this.#shown = shown;
    this.#colours = colours;
    const { index, head } = shown;
    const { model, scores } = this.#frames.data;
    const [layer, h] = [Math.floor(head / model.heads), head % model.heads];
    this.#title.textContent = `Layer ${layer}, head ${h}`;
    this.#figures.replaceChildren(
      ...scores.map((name) => {
        const score = this.#frames.score(index, head, name);
        return el("span", {}, `${SCORE_NAMES[name]} ${Number.isNaN(score) ? "–" : score.toFixed(2)}`);
      }),
    );
    this.#canvas.setAttribute("aria-label", `Attention of layer ${layer}, head ${h}`);
    this.#draw();
  }

  /** @param {MouseEvent} event */
  #cellAt({ offsetX, offsetY }) {
    const { cell, left, top } = this.#geometry;
    const [row, column] = [Math.floor((offsetY - top) / cell), Math.floor((offsetX - left) / cell)];
    const { size } = this.#frames;
    return row >= 0 && row < size && column >= 0 && column <= row ? { row, column } : undefined;
  }

  /** Most tokens of a byte-pair encoding begin with a space: an axis leaves it out. @param {number} position */
  #label(position) {
    const text = visible(this.#frames.promptText(position).replace(/^ (?=.)/, ""));
    return text.length > MOST_LABEL ? `${text.slice(0, MOST_LABEL - 1)}…` : text;
  }

  #draw() {
    if (!this.#colours) return;
    const { size } = this.#frames;
    const { index, head, position } = this.#shown;
    const { ramp, of } = this.#colours;
    const room = this.#canvas.parentElement?.clientWidth ?? 0;
    if (room === 0) return;
    const labels = Array.from({ length: size }, (_, i) => this.#label(i));
    const longest = Math.max(...labels.map((label) => label.length));
    const guess = Math.min(MOST_CELL, room / size);
    const font = Math.max(9, Math.min(13, guess - 1));
    const gutter = Math.ceil(longest * font * 0.62) + 8;
    const cell = Math.max(3, Math.min(MOST_CELL, Math.floor(10 * (room - gutter - 2) / size) / 10));
    this.#geometry = { cell, left: gutter, top: gutter };
    const side = Math.ceil(gutter + cell * size) + 2;
    const ratio = devicePixelRatio;
    this.#canvas.width = side * ratio;
    this.#canvas.height = side * ratio;
    this.#canvas.style.width = `${side}px`;
    this.#canvas.style.height = `${side}px`;
    const paint = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    paint.scale(ratio, ratio);
    const map = this.#frames.map(index, head);
    const gap = cell > 6 ? 1 : 0;
    for (let row = 0, at = 0; row < size; row++) {
      for (let column = 0; column <= row; column++) {
        paint.fillStyle = `#${hex(ramp[map[at++]])}`;
        paint.fillRect(gutter + column * cell, gutter + row * cell, cell - gap, cell - gap);
      }
    }
    this.#drawLabels(paint, { labels, font, gutter, cell });
    const marked = this.#hover?.row ?? position;
    paint.strokeStyle = of(this.#hover ? "text" : "accent");
    paint.strokeRect(gutter - 1, gutter + marked * cell - 1, (marked + 1) * cell + 1, cell + 1);
    if (this.#hover) {
      const { row, column } = this.#hover;
      paint.lineWidth = 2;
      paint.strokeRect(gutter + column * cell - 1, gutter + row * cell - 1, cell + 1, cell + 1);
    }
    this.#say(marked);
  }

  /**
   * @param {CanvasRenderingContext2D} paint
   * @param {{ labels: readonly string[], font: number, gutter: number, cell: number }} sizes
   */
  #drawLabels(paint, { labels, font, gutter, cell }) {
    const { of } = /** @type {Colours} */ (this.#colours);
    const family = getComputedStyle(document.documentElement).getPropertyValue("--mono");
    paint.textBaseline = "middle";
    const marked = this.#hover ?? { row: this.#shown.position, column: -1 };
    // Where labels have no room, some are left out, and those near a marked one.
    const stride = Math.ceil(font * 0.85 / cell);
    /** @param {number} i @param {number} at */
    const isShown = (i, at) => i === at || i % stride === 0 && (at < 0 || Math.abs(i - at) >= stride);
    labels.forEach((label, i) => {
      const place = gutter + (i + 0.5) * cell;
      /** @param {boolean} isMarked */
      const prepare = (isMarked) => {
        paint.font = `${isMarked ? "bold " : ""}${font}px ${family}`;
        paint.fillStyle = of(isMarked ? "text" : "quiet");
      };
      prepare(i === marked.row);
      paint.textAlign = "right";
      if (isShown(i, marked.row)) paint.fillText(label, gutter - 5, place);
      if (!isShown(i, marked.column)) return;
      prepare(i === marked.column);
      paint.save();
      paint.translate(place, gutter - 5);
      paint.rotate(-Math.PI / 2);
      paint.textAlign = "left";
      paint.fillText(label, 0, 0);
      paint.restore();
    });
  }

  /** @param {number} row Whose weights are put into words. */
  #say(row) {
    const { index, head } = this.#shown;
    const name = (/** @type {number} */ at) => `“${visible(this.#frames.promptText(at))}” (${at})`;
    if (this.#hover) {
      const { column } = this.#hover;
      const weight = this.#frames.weight(index, head, row, column);
      this.#readout.textContent = `${name(row)} looks at ${name(column)}: ${percent(weight)}`;
      return;
    }
    const weights = Array.from(
      { length: row + 1 },
      (_, column) => ({ column, weight: this.#frames.weight(index, head, row, column) }),
    );
    const most = weights.sort((a, b) => b.weight - a.weight).slice(0, 3);
    this.#readout.textContent = `${name(row)} looks at ${
      most.map(({ column, weight }) => `${name(column)} ${percent(weight)}`).join(", ")
    }`;
  }
}

/** A colour of the ramp, which holds alpha, blue, green and red, as RGB. @param {number} word */
function hex(word) {
  const [r, g, b] = [word & 255, word >> 8 & 255, word >> 16 & 255];
  return (r << 16 | g << 8 | b).toString(16).padStart(6, "0");
}
