// @ts-check
/**
 * One chart of figures by step: uPlot with this page's colours, a line that says the newest values or those under the
 * pointer, and a description for those who do not see it.
 *
 * @module
 */
// @ts-types="uplot/dist/uPlot.d.ts"
import uPlot from "../vendor/uplot.js";
import { el } from "../shared/dom.js";
import { figure, short } from "../shared/format.js";
import { colour } from "../shared/theme.js";

/** @typedef {import("./series.js").Series} Series */
/** @typedef {import("./series.js").Column} Column */

/**
 * @typedef {object} Line
 * @property {Column} column
 * @property {string} name
 * @property {string} colour Custom property.
 * @property {boolean} [sparse] Few values, far apart: drawn as points that are joined.
 */

/** Charts that show the same step under the pointer. */
const TOGETHER = uPlot.sync("steps");

/** A chart. */
export class Chart {
  /** The element to show. */
  element;
  #plot;
  #place;
  #readout;
  #series;
  #lines;
  #title;
  #observer;
  #isZoomed = false;
  #redraw = () => this.#plot.redraw(false, true);

  /**
   * @param {string} title
   * @param {readonly Line[]} lines
   * @param {Series} series
   */
  constructor(title, lines, series) {
    this.#title = title;
    this.#lines = lines;
    this.#series = series;
    this.#place = el("div", { class: "plot", "aria-hidden": "true" });
    this.#readout = el("p", { class: "readout number" });
    this.element = el(
      "figure",
      { class: "panel chart", "aria-label": title },
      el("figcaption", { class: "bar" }, el("h3", {}, title), this.#readout),
      this.#place,
    );
    this.#plot = new uPlot(this.#options(), this.#data(), this.#place);
    this.#place.title = "Drag to look closer, double-click to see all";
    this.#plot.over.addEventListener("dblclick", () => this.#isZoomed = false);
    this.#observer = new ResizeObserver(() => this.#fit());
    this.#observer.observe(this.#place);
    document.addEventListener("themechange", this.#redraw);
    this.#say(null);
  }

  /** Draws the figures as they are now. */
  draw() {
    this.#plot.setData(this.#data(), !this.#isZoomed);
    if (this.#isZoomed) this.#plot.redraw();
    this.#say(this.#plot.cursor.idx ?? null);
  }

  /** Lets go of everything. */
  close() {
    this.#observer.disconnect();
    document.removeEventListener("themechange", this.#redraw);
    this.#plot.destroy();
  }

  /** @returns {uPlot.AlignedData} */
  #data() {
    const { steps, columns } = this.#series;
    return [steps, ...this.#lines.map(({ column }) => columns[column])];
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#place;
    if (width > 0 && height > 0) this.#plot.setSize({ width, height });
  }

  /** @returns {uPlot.Options} */
  #options() {
    /** @type {uPlot.Axis} */
    const axis = {
      stroke: () => colour("--quiet"),
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { stroke: () => colour("--line"), width: 1, size: 4 },
      font: "11px system-ui, sans-serif",
      gap: 4,
    };
    return {
      width: 300,
      height: 160,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, sync: { key: TOGETHER.key }, drag: { x: true, y: false } },
      scales: { x: { time: false } },
      axes: [
        {
          ...axis,
          size: 24,
          values: (_, marks) => marks.map((mark) => Number.isInteger(mark) ? short(mark) : ""),
        },
        { ...axis, size: 52, values: (_, marks) => marks.map((mark) => figure(mark, 3)) },
      ],
      series: [{}, ...this.#lines.map((line) => this.#line(line))],
      hooks: {
        setCursor: [(plot) => this.#say(plot.cursor.idx ?? null)],
        setSelect: [({ select }) => this.#isZoomed ||= select.width > 0],
      },
    };
  }

  /** @param {Line} line @returns {uPlot.Series} */
  #line({ name, colour: property, sparse = false }) {
    return {
      label: name,
      stroke: () => colour(property),
      width: sparse ? 1.5 : 1.25,
      spanGaps: sparse,
      points: { show: () => sparse || this.#series.steps.length < 2, size: 5 },
    };
  }

  /** Says the values at a row, or the newest. @param {number | null} row */
  #say(row) {
    const { steps, columns } = this.#series;
    const step = row === null ? steps.at(-1) : steps[row];
    const values = this.#lines.map(({ column, name, colour: property }) => {
      const value = row === null ? this.#series.newest(column) : columns[column][row];
      return { text: figure(value), name, property };
    });
    const parts = values.filter(({ text }, at) => at === 0 || text !== "–").map(({ text, name, property }) =>
      el(
        "span",
        { class: `value ${property.slice(2)}` },
        ...this.#lines.length > 1 ? [el("span", { class: "quiet" }, `${name} `)] : [],
        text,
      )
    );
    const at = step === undefined ? "" : row === null ? "" : `step ${step}`;
    this.#readout.replaceChildren(...at ? [el("span", { class: "quiet" }, at)] : [], ...parts);
    if (row === null) {
      const facts = values.map(({ name, text }) => `${name} ${text}`).join(", ");
      const label = step === undefined
        ? `${this.#title}: no steps yet`
        : `${this.#title} at step ${step}: ${facts}`;
      this.element.setAttribute("aria-label", label);
    }
  }
}

/**
 * The charts of a job.
 *
 * @param {Series} series
 */
export function jobCharts(series) {
  const charts = [
    new Chart("Loss", [
      { column: "loss", name: "training", colour: "--accent" },
      { column: "validationLoss", name: "validation", colour: "--warm", sparse: true },
    ], series),
    new Chart(
      "Learning rate",
      [{ column: "learningRate", name: "learning rate", colour: "--violet" }],
      series,
    ),
    new Chart("Gradient norm", [{ column: "gradNorm", name: "gradient norm", colour: "--good" }], series),
    new Chart("Tokens per second", [
      { column: "tokensPerSecond", name: "tokens/s", colour: "--accent" },
    ], series),
  ];
  charts[0].element.classList.add("large");
  return charts;
}
