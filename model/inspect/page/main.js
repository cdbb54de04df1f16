// @ts-check
/**
 * Puts the page together: every view is given the same links.
 *
 * @module
 */
import { byId } from "../../watch/page/dom.js";
import { showGraph } from "./graph.js";
import { showKernels } from "./kernels.js";
import { Links } from "./links.js";
import { showMemory, showRoofline } from "./plots.js";
import { showSource } from "./source.js";

/** @type {import("./wire.d.ts").PageData} */
const data = JSON.parse(byId("data", HTMLScriptElement).textContent ?? "");
const links = new Links(data);
byId("name", HTMLHeadingElement).textContent = data.name;
byId("facts", HTMLParagraphElement).textContent = `${data.mode}, ${data.target}`;
showSource(links);
showGraph(links);
showKernels(links);
showMemory(links);
showRoofline(links);

const search = byId("search", HTMLInputElement);
search.addEventListener("input", () => links.pin(find(search.value.trim())));
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape") {
    search.value = "";
    links.pin(undefined);
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && document.activeElement !== search) {
    const [work = -1] = links.pinned.works;
    const next = Math.min(data.works.length - 1, Math.max(0, work + (event.key === "ArrowDown" ? 1 : -1)));
    event.preventDefault();
    links.pin(links.aroundWork(next));
  }
});
byId("theme", HTMLButtonElement).addEventListener("click", () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  links.setHot(undefined);
});
document.documentElement.dataset.ready = "true";

/** @param {string} text */
function find(text) {
  if (text.length < 2) return undefined;
  if (/^%\d+$/.test(text)) {
    const id = Number(text.slice(1));
    return data.nodes[id] && links.around([id]);
  }
  const work = data.works.findIndex(({ name }) => name.includes(text));
  const nodes = data.nodes.filter(({ op, scope }) => op === text || scope.includes(text)).map(({ id }) => id);
  if (nodes.length > 0) return links.around(nodes);
  return work >= 0 ? links.aroundWork(work) : undefined;
}
