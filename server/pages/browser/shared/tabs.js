// @ts-check
/**
 * Tabs, as the ARIA practices describe them: one is in the order of focus, arrows go to the others.
 *
 * @module
 */
import { el } from "./dom.js";

let made = 0;

/**
 * Makes tabs whose contents are made when they are first looked at.
 *
 * @param {string} label What they are tabs of.
 * @param {readonly {name: string, content: () => Node}[]} tabs
 * @param {string} [first] Name of the one that is open at first.
 * @param {(name: string) => void} [onChange]
 * @returns {HTMLElement}
 */
export function tabsOf(label, tabs, first = tabs[0].name, onChange = () => {}) {
  const id = `tabs-${++made}`;
  const panel = el("div", { role: "tabpanel", id, class: "tab-panel" });
  const buttons = tabs.map(({ name }) =>
    el("button", { role: "tab", "aria-controls": id, class: "tab" }, name)
  );
  const list = el("div", { role: "tablist", "aria-label": label, class: "tab-list" }, ...buttons);
  /** @type {Map<string, Node>} */
  const contents = new Map();
  /** @param {number} at */
  const open = (at) => {
    const { name, content } = tabs[at];
    const node = contents.get(name) ?? content();
    contents.set(name, node);
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === at));
      button.tabIndex = i === at ? 0 : -1;
    });
    panel.setAttribute("aria-label", name);
    panel.replaceChildren(node);
  };
  buttons.forEach((button, at) =>
    button.addEventListener("click", () => {
      open(at);
      onChange(tabs[at].name);
    })
  );
  list.addEventListener("keydown", (event) => {
    const at = buttons.findIndex((button) => button === document.activeElement);
    const last = buttons.length - 1;
    const to = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    };
    const next = to[/** @type {keyof typeof to} */ (event.key)];
    if (next === undefined) return;
    event.preventDefault();
    buttons[next].focus();
    buttons[next].click();
  });
  open(Math.max(0, tabs.findIndex(({ name }) => name === first)));
  return el("div", { class: "tabs" }, list, panel);
}
