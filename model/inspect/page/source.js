// @ts-check
/**
 * The source on the left: a file at a time, with the number of nodes that each line became.
 *
 * @module
 */
import { byId, el } from "../../watch/page/dom.js";
import { mark } from "./links.js";

/** @param {import("./links.js").Links} links */
export function showSource(links) {
  const { nodes, files } = links.data;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { site } of nodes) if (site) counts.set(site, (counts.get(site) ?? 0) + 1);
  const total = (/** @type {string} */ path) =>
    [...counts].reduce((sum, [site, count]) => sum + (site.startsWith(`${path}:`) ? count : 0), 0);
  const paths = Object.keys(files).sort((a, b) => total(b) - total(a));
  const tabs = byId("files", HTMLDivElement);
  const view = byId("source", HTMLDivElement);
  let shown = "";
  /** @type {Map<string, Element[]>} */
  let rows = new Map();
  /** @type {Set<Element>} */
  const marked = new Set();

  const show = (/** @type {string} */ path) => {
    if (path === shown) return;
    shown = path;
    rows = new Map();
    view.replaceChildren(
      ...(files[path] ?? "").split("\n").map((text, i) => {
        const site = `${path}:${i + 1}`;
        const count = counts.get(site);
        const row = el(
          "div",
          { class: count ? "row can" : "row", ...count && { "data-site": site } },
          el("span", { class: "no" }, `${i + 1}`),
          el("span", { class: "mark" }, count ? `${count}` : ""),
          text,
        );
        rows.set(site, [row]);
        return row;
      }),
    );
    for (const tab of tabs.children) {
      tab.setAttribute("aria-selected", String(tab.getAttribute("title") === path));
    }
    paint();
  };
  const paint = () => mark(rows, links.hot.lines, links.pinned.lines, marked);

  tabs.append(
    ...paths.map((path) =>
      el("button", {
        type: "button",
        role: "tab",
        title: path,
        onclick: () => show(path),
      }, path.split("/").at(-1) ?? path)
    ),
  );
  const siteOf = (/** @type {Event} */ event) =>
    /** @type {Element} */ (event.target).closest("[data-site]")?.getAttribute("data-site");
  view.addEventListener("pointerover", (event) => {
    const site = siteOf(event);
    links.setHot(site ? links.aroundLine(site) : undefined);
  });
  view.addEventListener("pointerleave", () => links.setHot(undefined));
  view.addEventListener("click", (event) => {
    const site = siteOf(event);
    if (site) links.pin(links.aroundLine(site));
  });
  links.watch(() => {
    paint();
    const [line] = links.pinned.lines;
    if (!line) return;
    const path = line.replace(/:\d+$/, "");
    if (!files[path]) return;
    show(path);
    if (!view.matches(":hover")) rows.get(line)?.[0].scrollIntoView({ block: "nearest" });
  });
  if (paths.length > 0) show(paths[0]);
}
