// @ts-check
/**
 * Which parts belong together: a line, its nodes, the kernels that compute them and the memory that they lie in. What the pointer is on
 * is hot, what was clicked is pinned; every view asks here and is told of changes.
 *
 * @module
 */

/** @typedef {import("./wire.d.ts").PageData} PageData */
/** @typedef {{ nodes: Set<number>, works: Set<number>, roots: Set<number>, lines: Set<string> }} Parts */

/** @returns {Parts} */
const nothing = () => ({ nodes: new Set(), works: new Set(), roots: new Set(), lines: new Set() });

export class Links {
  hot = nothing();
  pinned = nothing();
  /** @type {(() => unknown)[]} */
  #views = [];
  /** @type {number[][]} */
  #readers;

  /** @param {PageData} data */
  constructor(data) {
    this.data = data;
    this.#readers = data.nodes.map(() => []);
    for (const { id, inputs } of data.nodes) for (const input of inputs) this.#readers[input].push(id);
  }

  /** @param {() => unknown} view Called when something has become hot or pinned. */
  watch(view) {
    this.#views.push(view);
  }

  /** @param {number} id */
  readersOf(id) {
    return this.#readers[id];
  }

  /** Kernels that compute a node: its own, or those of its readers. @param {number} id @param {Set<number>} [seen] @returns {number[]} */
  worksOf(id, seen = new Set()) {
    const { work } = this.data.nodes[id];
    if (work >= 0) return [work];
    if (seen.has(id)) return [];
    seen.add(id);
    return [...new Set(this.#readers[id].flatMap((reader) => this.worksOf(reader, seen)))];
  }

  /** Everything that belongs to some nodes. @param {Iterable<number>} nodes @returns {Parts} */
  around(nodes) {
    const parts = nothing();
    for (const id of nodes) {
      parts.nodes.add(id);
      const { site } = this.data.nodes[id];
      if (site) parts.lines.add(site);
      for (const work of this.worksOf(id)) parts.works.add(work);
    }
    this.data.roots.forEach((root, i) => {
      if (root.nodes.some((id) => parts.nodes.has(id))) parts.roots.add(i);
    });
    return parts;
  }

  /** @param {number} work @returns {Parts} */
  aroundWork(work) {
    const parts = this.around(this.data.works[work].nodes);
    return { ...parts, works: new Set([work]) };
  }

  /** @param {string} site @returns {Parts} */
  aroundLine(site) {
    const parts = this.around(this.data.nodes.filter((node) => node.site === site).map(({ id }) => id));
    parts.lines = new Set([site]);
    return parts;
  }

  /** @param {number} root @returns {Parts} */
  aroundRoot(root) {
    const parts = this.around(this.data.roots[root].nodes);
    return { ...parts, roots: new Set([root]) };
  }

  /** @param {Parts | undefined} parts */
  setHot(parts) {
    this.hot = parts ?? nothing();
    this.#tell();
  }

  /** @param {Parts | undefined} parts */
  pin(parts) {
    this.pinned = parts ?? nothing();
    this.#tell();
  }

  #tell() {
    for (const view of this.#views) view();
  }
}

/**
 * Marks elements of a list by their keys.
 *
 * @template K
 * @param {Map<K, Element[]>} elements
 * @param {Set<K>} hot
 * @param {Set<K>} pinned
 * @param {Set<Element>} marked Those that were marked the last time.
 */
export function mark(elements, hot, pinned, marked) {
  for (const element of marked) element.classList.remove("hot", "pinned");
  marked.clear();
  for (const [keys, name] of /** @type {[Set<K>, string][]} */ ([[pinned, "pinned"], [hot, "hot"]])) {
    for (const key of keys) {
      for (const element of elements.get(key) ?? []) {
        element.classList.add(name);
        marked.add(element);
      }
    }
  }
}
