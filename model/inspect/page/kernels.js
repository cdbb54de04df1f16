// @ts-check
/**
 * The kernels on the right, in the order in which they run or by what they cost, and everything about the one that is pinned below.
 *
 * @module
 */
import { byId, count, el } from "../../watch/page/dom.js";
import { highlight } from "./highlight.js";
import { mark } from "./links.js";

/** @typedef {import("./wire.d.ts").PageWork} PageWork */

/** @type {Record<string, [title: string, value: (work: PageWork) => number, text: (work: PageWork) => string]>} */
const FIGURES = {
  ms: [
    "time",
    ({ ms }) => ms ?? 0,
    ({ ms }) =>
      ms === undefined ? "" : `${ms < 0.1 ? (ms * 1000).toFixed(1) + " µs" : ms.toFixed(2) + " ms"}`,
  ],
  bytes: ["bytes", ({ bytes }) => bytes, ({ bytes }) => `${(bytes / 1e6).toFixed(2)} MB`],
  flops: ["operations", ({ flops }) => flops, ({ flops }) => `${(flops / 1e6).toFixed(1)} Mflop`],
};

/** @param {import("./links.js").Links} links */
export function showKernels(links) {
  const { works, nodes } = links.data;
  const isTimed = works.some(({ ms }) => ms !== undefined);
  const select = byId("order", HTMLSelectElement);
  const view = byId("kernels", HTMLDivElement);
  /** @type {Map<number, Element[]>} */
  const rows = new Map();
  /** @type {Set<Element>} */
  const marked = new Set();
  const names = Object.keys(FIGURES).filter((name) => name !== "ms" || isTimed);
  select.append(
    el("option", { value: "" }, "in order"),
    ...names.map((name) => el("option", { value: name }, `by ${FIGURES[name][0]}`)),
  );
  const phaseOf = (/** @type {PageWork} */ { nodes: [first] }) =>
    first === undefined ? "quiet" : nodes[first].phase;

  const draw = () => {
    const figure = FIGURES[select.value || names[0]];
    const most = Math.max(...works.map(figure[1]), Number.MIN_VALUE);
    const order = works.map((_, i) => i);
    if (select.value) order.sort((a, b) => figure[1](works[b]) - figure[1](works[a]));
    rows.clear();
    view.replaceChildren(...order.map((i) => {
      const work = works[i];
      const row = el(
        "div",
        { class: "kernel", "data-work": `${i}`, title: `${work.kind}: ${work.name}` },
        el("span", { class: "figure" }, `${i}`),
        el("span", { class: `title ${phaseOf(work)}` }, work.name),
        el(
          "span",
          { class: `meter ${phaseOf(work)}` },
          el("i", { style: `width:${100 * figure[1](work) / most}%` }),
        ),
        el("span", { class: "figure" }, figure[2](work)),
      );
      rows.set(i, [row]);
      return row;
    }));
    paint();
  };
  const paint = () => mark(rows, links.hot.works, links.pinned.works, marked);
  const sum = (/** @type {(work: PageWork) => number} */ value) =>
    works.reduce((total, work) => total + value(work), 0);
  byId("kernel-facts", HTMLParagraphElement).textContent =
    `${count(works.length)} to run, ${(sum(({ bytes }) => bytes) / 1e6).toFixed(0)} MB moved, ` +
    `${(sum(({ flops }) => flops) / 1e9).toFixed(1)} Gflop${
      isTimed ? `, ${sum(({ ms = 0 }) => ms).toFixed(1)} ms` : ""
    }`;
  select.addEventListener("change", draw);
  const workOf = (/** @type {Event} */ event) => {
    const work = /** @type {Element} */ (event.target).closest("[data-work]")?.getAttribute("data-work");
    return work === null || work === undefined ? undefined : Number(work);
  };
  view.addEventListener("pointerover", (event) => {
    const work = workOf(event);
    links.setHot(work === undefined ? undefined : links.aroundWork(work));
  });
  view.addEventListener("pointerleave", () => links.setHot(undefined));
  view.addEventListener("click", (event) => {
    const work = workOf(event);
    if (work !== undefined) links.pin(links.aroundWork(work));
  });
  links.watch(() => {
    paint();
    const [work] = links.pinned.works;
    if (work !== undefined && !view.matches(":hover")) {
      rows.get(work)?.[0].scrollIntoView({ block: "nearest" });
    }
    showDetail(links);
  });
  draw();
  showDetail(links);
}

/** What the detail says now, so that hovering does not draw it again. */
let shown = "";

/** @param {import("./links.js").Links} links */
function showDetail(links) {
  const panel = byId("detail", HTMLElement);
  const { works: pinned, nodes: chosen } = links.pinned;
  const key = [...pinned, "|", ...chosen].join();
  if (key === shown) return;
  shown = key;
  const [first] = pinned;
  if (first === undefined) {
    panel.replaceChildren(
      el(
        "p",
        { class: "quiet" },
        "Click a line, a node, a kernel or a piece of memory: everything that belongs to it is marked, and its kernel shown here. Escape lets go.",
      ),
    );
    return;
  }
  const { data } = links;
  const work = data.works[first];
  const kernel = data.kernels[work.kernel];
  const others = [...pinned].slice(1);
  const list = (/** @type {string} */ title, /** @type {readonly string[]} */ texts) =>
    texts.length === 0 ? [] : [el("h3", {}, title), ...texts.map((text) => el("p", {}, text))];
  panel.replaceChildren(
    el(
      "div",
      { class: "bar" },
      el("h2", {}, `${first}  ${work.name}`),
      el("p", { class: "quiet" }, work.kind),
    ),
    el(
      "div",
      { class: "facts" },
      ...factsOf(data, work).map(([name, text]) => el("span", {}, el("b", {}, `${name} `), text)),
    ),
    ...others.length > 0
      ? [el(
        "p",
        {},
        "also in ",
        ...others.slice(0, 12).flatMap((other) => [
          el(
            "span",
            { class: "link", onclick: () => links.pin(links.aroundWork(other)) },
            `${other} ${data.works[other].name}`,
          ),
          "  ",
        ]),
      )]
      : [],
    el(
      "div",
      { class: "columns" },
      el(
        "div",
        {},
        ...list("begins here because", work.begins),
        ...list("ends here because", work.ends),
        ...list("reads", work.reads),
        ...list("writes", work.writes),
        el("h3", {}, "computes"),
        ...work.nodes.map((id) =>
          el(
            "p",
            {
              class: `node link${chosen.has(id) && chosen.size < work.nodes.length ? " pinned" : ""}`,
              onclick: () => links.pin(links.around([id])),
            },
            `${data.nodes[id].text}  ${data.nodes[id].site ?? ""}`,
          )
        ),
      ),
      el("div", {}, el("h3", {}, "Kernel IR"), el("pre", {}, kernel?.ir ?? "a copy")),
      el("div", {}, el("h3", {}, "WGSL"), el("pre", {}, ...highlight(kernel?.wgsl ?? ""))),
    ),
  );
}

/** @param {import("./wire.d.ts").PageData} data @param {PageWork} work @returns {[string, string][]} */
function factsOf({ ceilings, kernels }, { ms, bytes, flops, workgroups, launches, kernel }) {
  const rate = (/** @type {number} */ value, /** @type {string} */ unit) =>
    `${(value / 1e9).toFixed(1)} ${unit}`;
  const share = (/** @type {number} */ value, /** @type {number} */ most) =>
    `${(100 * value / most).toFixed(0)} %`;
  /** @type {[string, string][]} */
  const facts = [
    ["launches", `${launches}`],
    ["workgroups", `${workgroups.join(" × ")} of ${kernels[kernel]?.workgroupSize.join(" × ") ?? "?"}`],
    ["moves", `${(bytes / 1e6).toFixed(2)} MB`],
    ["computes", `${(flops / 1e6).toFixed(1)} Mflop`],
  ];
  if (ms !== undefined && ceilings) {
    const [moved, done] = [bytes / ms * 1000, flops / ms * 1000];
    facts.push(
      ["takes", `${ms.toFixed(3)} ms`],
      ["bandwidth", `${rate(moved, "GB/s")}, ${share(moved, ceilings.bytesPerSecond)} of the best seen`],
      [
        "arithmetic",
        `${rate(done, "Gflop/s")}, ${share(done, ceilings.flopsPerSecond)} of the best seen`,
      ],
    );
  }
  return facts;
}
