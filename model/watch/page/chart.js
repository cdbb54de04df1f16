// @ts-check
/**
 * A chart of curves over steps, with a cursor at the step that is shown. A click goes to the nearest step.
 *
 * @module
 */
import { count, el, svg } from "./dom.js";

const HEIGHT = 170;
const EDGE = { left: 40, right: 10, top: 8, bottom: 20 };

/**
 * @typedef {object} Curve
 * @property {string} name
 * @property {string} colour Custom property, such as `--accent`.
 * @property {readonly (readonly [number, number])[]} points Steps and values.
 * @property {boolean} [faint]
 * @property {boolean} [dots] Shown as dots as well.
 */

export class Chart {
  #steps;
  #curves;
  #drawing = svg("svg", { role: "img" });
  #legend = el("p", { class: "legend" });
  #at = 0;
  /** @type {(step: number) => number} */
  #x = () => 0;
  /** @type {SVGLineElement | undefined} */
  #cursor;
  #range;

  /**
   * @param {object} options
   * @param {string} options.title
   * @param {readonly number[]} options.steps Steps that can be shown.
   * @param {readonly Curve[]} options.curves
   * @param {readonly [number, number]} [options.range] Of values; left out: that of the curves.
   * @param {(index: number) => void} options.onPick Called with the index of a step.
   */
  constructor({ title, steps, curves, range, onPick }) {
    this.#steps = steps;
    this.#curves = curves.filter(({ points }) => points.length > 0);
    this.#range = range;
    this.#drawing.setAttribute("aria-label", title);
    this.element = el(
      "figure",
      { class: "chart" },
      el("h3", {}, title),
      this.#legend,
      this.#drawing,
    );
    const pick = (/** @type {PointerEvent} */ event) => {
      const { left } = this.#drawing.getBoundingClientRect();
      const place = event.clientX - left;
      const distances = steps.map((step) => Math.abs(this.#x(step) - place));
      onPick(distances.indexOf(Math.min(...distances)));
    };
    this.#drawing.addEventListener("pointerdown", pick);
    this.#drawing.addEventListener("pointermove", (event) => event.buttons & 1 && pick(event));
    new ResizeObserver(() => this.#draw()).observe(this.#drawing);
  }

  /** @param {number} index Of the step that is shown. */
  show(index) {
    this.#at = this.#steps[index];
    this.#place();
  }

  #place() {
    const x = this.#x(this.#at);
    this.#cursor?.setAttribute("x1", String(x));
    this.#cursor?.setAttribute("x2", String(x));
    this.#legend.replaceChildren(
      ...this.#curves.filter(({ faint }) => !faint).map(({ name, colour, points }) => {
        const value = nearest(points, this.#at);
        return el(
          "span",
          { style: `--colour: var(${colour})` },
          `${name} ${value === undefined ? "" : figure(value)}`,
        );
      }),
    );
  }

  #draw() {
    const width = this.#drawing.clientWidth;
    if (width === 0) return;
    const points = this.#curves.flatMap((curve) => curve.points);
    const times = [...this.#steps, ...points.map(([step]) => step)];
    const values = this.#range ?? extent(points.map(([, value]) => value));
    const x = scale(extent(times), [EDGE.left, width - EDGE.right]);
    const y = scale(values, [HEIGHT - EDGE.bottom, EDGE.top]);
    this.#x = x;
    const parts = [];
    for (const value of ticks(values, 4)) {
      parts.push(
        svg("line", { class: "rule", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
        svg("text", { class: "tick", x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
      );
    }
    for (const step of ticks(extent(times), Math.max(2, Math.floor(width / 90)))) {
      parts.push(
        svg("text", { class: "tick", x: x(step), y: HEIGHT - 4, "text-anchor": "middle" }, count(step)),
      );
    }
    for (const { points, colour, faint, dots } of this.#curves) {
      const d = points.map(([step, value], i) =>
        `${i === 0 ? "M" : "L"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`
      );
      parts.push(
        svg("path", {
          class: faint ? "curve faint" : "curve",
          style: `stroke: var(${colour})`,
          d: d.join(""),
        }),
      );
      if (!dots) continue;
      for (const [step, value] of points) {
        parts.push(svg("circle", { cx: x(step), cy: y(value), r: 2.2, style: `fill: var(${colour})` }));
      }
    }
    this.#cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
    this.#drawing.replaceChildren(...parts, this.#cursor);
    this.#place();
  }
}

/** Value at the point nearest to a step. @param {Curve["points"]} points @param {number} step */
function nearest(points, step) {
  let best = points[0];
  for (const point of points) if (Math.abs(point[0] - step) < Math.abs(best[0] - step)) best = point;
  return best?.[1];
}

/** @param {readonly number[]} values @returns {[number, number]} */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** @param {readonly [number, number]} from @param {readonly [number, number]} to */
function scale([low, high], [start, end]) {
  return (/** @type {number} */ value) => start + (value - low) / (high - low) * (end - start);
}

/** Round numbers within a range, about so many. @param {readonly [number, number]} range @param {number} about */
function ticks([low, high], about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Two digits behind the point, or as many as say something. @param {number} value */
function figure(value) {
  return Math.abs(value) >= 0.1 || value === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** @param {number} value */
function short(value) {
  return String(Number(value.toPrecision(3)));
}
