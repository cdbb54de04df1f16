// @ts-check
/**
 * The graph in the middle: parts of the step, their layers, their modules, and nodes only where somebody has opened them, so that
 * thousands of nodes cost nothing until they are looked at.
 *
 * @module
 */
import { byId, count, el } from "../../watch/page/dom.js";
import { mark } from "./links.js";

const PHASES = ["forward", "backward", "optimizer"];

/** @param {import("./links.js").Links} links */
export function showGraph(links) {
  const { nodes, works } = links.data;
  /** @type {Map<number, Element[]>} Nodes that are drawn, and the closed boxes that hold the others. */
  const elements = new Map();
  /** @type {Set<Element>} */
  const marked = new Set();
  const add = (/** @type {number} */ id, /** @type {Element} */ element) =>
    elements.set(id, [...elements.get(id) ?? [], element]);

  const nodeRow = (/** @type {number} */ id) => {
    const { text, stored } = nodes[id];
    const row = el("div", { class: `row can node${stored ? " stored" : ""}`, "data-node": `${id}` }, text);
    add(id, row);
    return row;
  };
  /** @param {string} title @param {readonly number[]} members @param {string} kind @param {() => Node[]} fill */
  const box = (title, members, kind, fill) => {
    const inside = new Set(members.flatMap((id) => links.worksOf(id)));
    const summary = el(
      "summary",
      {},
      el("b", { class: kind }, title),
      el("span", { class: "quiet" }, `  ${count(members.length)} nodes, in ${count(inside.size)} kernels`),
    );
    const details = el("details", {}, summary);
    for (const id of members) add(id, summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(...fill());
      paint();
    });
    return details;
  };
  const grouped = (/** @type {readonly number[]} */ ids, /** @type {(id: number) => string} */ key) => {
    /** @type {Map<string, number[]>} */
    const groups = new Map();
    for (const id of ids) {
      const name = key(id);
      const members = groups.get(name);
      if (members) members.push(id);
      else groups.set(name, [id]);
    }
    return groups;
  };
  const layerOf = (/** @type {number} */ id) =>
    /^[a-z]+\.\d+/.exec(nodes[id].scope)?.[0] ?? (nodes[id].scope.split(".")[0] || "·");
  const modules = (/** @type {readonly number[]} */ ids, /** @type {string} */ kind) => {
    const groups = grouped(ids, (id) => nodes[id].scope || "·");
    if (groups.size === 1) return ids.map(nodeRow);
    return [...groups].map(([name, members]) => box(name, members, kind, () => members.map(nodeRow)));
  };
  const view = byId("graph", HTMLDivElement);
  const paint = () => mark(elements, links.hot.nodes, links.pinned.nodes, marked);
  for (const phase of PHASES) {
    const members = nodes.filter((node) => node.phase === phase).map(({ id }) => id);
    if (members.length === 0) continue;
    const details = box(
      phase,
      members,
      phase,
      () =>
        [...grouped(members, layerOf)].map(([name, own]) => box(name, own, phase, () => modules(own, phase))),
    );
    details.open = true;
    view.append(details);
  }
  byId("graph-facts", HTMLParagraphElement).textContent = `${
    count(nodes.length)
  } nodes after simplification, ${count(works.length)} kernels to run`;
  const idOf = (/** @type {Event} */ event) => {
    const id = /** @type {Element} */ (event.target).closest("[data-node]")?.getAttribute("data-node");
    return id === null || id === undefined ? undefined : Number(id);
  };
  view.addEventListener("pointerover", (event) => {
    const id = idOf(event);
    links.setHot(id === undefined ? undefined : links.around([id]));
  });
  view.addEventListener("pointerleave", () => links.setHot(undefined));
  view.addEventListener("click", (event) => {
    const id = idOf(event);
    if (id !== undefined) links.pin(links.around([id]));
  });
  links.watch(paint);
}
