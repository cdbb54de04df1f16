// @ts-check
/**
 * The graph of kernels as one drawing. Launches are chosen by click or arrow keys; those that a chosen one reads from, and
 * those that read from it, are joined to it.
 *
 * @module
 */
import { el, svg } from "../shared/dom.js";
import { percent } from "../shared/format.js";
import { layOut, NODE } from "./layout.js";

/** @typedef {import("./report.js").Launch} Launch */
/** @typedef {import("./report.js").Band} Band */

/** Edges over more than this height are drawn when one of their ends is chosen. */
const LONG_EDGE = 320;
/** Characters of a name that fit. */
const NAME_LENGTH = 30;

/** The drawing. */
export class GraphView {
  #launches;
  #layout;
  #onChoose;
  #onOpen;
  /** @type {SVGGElement[]} */
  #nodes = [];
  #near = svg("g", { class: "edges near" });
  #drawing;
  #chosen = -1;
  element;

  /**
   * @param {readonly Launch[]} launches
   * @param {readonly Band[]} bands
   * @param {(index: number) => void} onChoose Called with the launch that was chosen.
   * @param {() => void} onOpen Called when the user wants to go to its details.
   */
  constructor(launches, bands, onChoose, onOpen) {
    this.#launches = launches;
    this.#onChoose = onChoose;
    this.#onOpen = onOpen;
    this.#layout = layOut(bands);
    const { width, height } = this.#layout;
    this.#drawing = svg(
      "svg",
      { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      ...this.#layout.bands.map((band) => drawBand(band, width)),
      svg("g", { class: "edges" }, svg("path", { d: this.#paths() })),
      this.#near,
    );
    this.#nodes = launches.map((launch) => this.#drawNode(launch));
    this.#drawing.append(...this.#nodes);
    this.element = el(
      "div",
      { class: "graph-scroll", tabindex: "0", role: "application", "aria-label": "Graph of kernels" },
      /** @type {any} */ (this.#drawing),
    );
    this.element.setAttribute("aria-description", "Arrow keys go from kernel to kernel, Enter opens one.");
    this.element.addEventListener("click", (event) => {
      const index = this.#indexAt(event.target);
      if (index !== undefined) this.#onChoose(index);
    });
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Marks a launch and shows what it is joined to. @param {number} index */
  choose(index) {
    this.#nodes[this.#chosen]?.classList.remove("chosen");
    for (const node of this.#drawing.querySelectorAll(".joined")) node.classList.remove("joined");
    this.#chosen = index;
    const { inputs, outputs } = this.#launches[index];
    this.#nodes[index].classList.add("chosen");
    for (const other of [...inputs, ...outputs]) this.#nodes[other].classList.add("joined");
    this.#near.replaceChildren(
      svg("path", { class: "in", d: inputs.map((input) => this.#path(input, index)).join("") }),
      svg("path", { class: "out", d: outputs.map((output) => this.#path(index, output)).join("") }),
    );
    this.#scrollTo(index);
  }

  /** Dims launches whose name does not contain the text. @param {string} text */
  filter(text) {
    const wanted = text.trim().toLowerCase();
    this.#nodes.forEach((node, at) => {
      node.classList.toggle("dim", !this.#launches[at].name.toLowerCase().includes(wanted));
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const moves = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    const last = this.#launches.length - 1;
    let to;
    if (move !== undefined) to = Math.min(last, Math.max(0, this.#chosen + move));
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last;
    else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.#chosen < 0) this.#onChoose(0);
      this.#onOpen();
    }
    if (to === undefined) return;
    event.preventDefault();
    this.#onChoose(to);
  }

  /** @param {EventTarget | null} target */
  #indexAt(target) {
    const node = target instanceof Element ? target.closest(".node") : null;
    return node ? Number(node.getAttribute("data-index")) : undefined;
  }

  /** @param {Launch} launch */
  #drawNode({ index, name, share }) {
    const { x, y } = this.#layout.places[index];
    const most = Math.max(...this.#launches.map((launch) => launch.share));
    const shown = name.length > NAME_LENGTH ? `${name.slice(0, NAME_LENGTH - 1)}…` : name;
    return svg(
      "g",
      { class: "node", "data-index": index, transform: `translate(${x} ${y})` },
      svg("title", {}, `${name}, launch ${index + 1}, ${percent(share)}`),
      svg("rect", { class: "box", width: NODE.width, height: NODE.height, rx: 5 }),
      svg("rect", { class: "cost", y: NODE.height - 4, width: NODE.width * share / most, height: 4, rx: 2 }),
      svg("text", { x: 8, y: 18 }, shown),
    );
  }

  #paths() {
    const { places } = this.#layout;
    return this.#launches.flatMap(({ index, inputs }) =>
      inputs.filter((input) => places[index].y - places[input].y <= LONG_EDGE)
        .map((input) => this.#path(input, index))
    ).join("");
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #path(from, to) {
    const { places } = this.#layout;
    const x1 = places[from].x + NODE.width / 2;
    const x2 = places[to].x + NODE.width / 2;
    const y1 = places[from].y + NODE.height;
    const y2 = places[to].y;
    const bend = Math.max(10, Math.min(60, (y2 - y1) / 2));
    return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
  }

  /** @param {number} index */
  #scrollTo(index) {
    const { x, y } = this.#layout.places[index];
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.element;
    if (clientHeight === 0) return;
    if (y < scrollTop + 20) this.element.scrollTop = y - 60;
    else if (y + NODE.height > scrollTop + clientHeight - 20) this.element.scrollTop = y - clientHeight + 120;
    if (x < scrollLeft) this.element.scrollLeft = x - 20;
    else if (x + NODE.width > scrollLeft + clientWidth) {
      this.element.scrollLeft = x + NODE.width - clientWidth + 20;
    }
  }
}

/**
 * @param {{title: string, y: number, height: number}} band
 * @param {number} width
 */
function drawBand({ title, y, height }, width) {
  return svg(
    "g",
    { class: "band" },
    svg("rect", { y, width, height, rx: 6 }),
    ...title.split("\n").map((word, line) => svg("text", { x: 10, y: y + 28 + 15 * line }, word)),
  );
}
