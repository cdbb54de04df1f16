// @ts-check
/**
 * A program as the server reports it, made ready to be shown: which launch reads what another has written, and which of
 * them belong together.
 *
 * @module
 */

/** @typedef {import("../wire.d.ts").ProgramReport} ProgramReport */
/** @typedef {import("../wire.d.ts").ReportedDispatch} ReportedDispatch */

/**
 * @typedef {object} Launch
 * @property {number} index Place in the order of execution.
 * @property {ReportedDispatch} dispatch
 * @property {string} name The kernel's.
 * @property {number[]} inputs Launches whose results it reads.
 * @property {number[]} outputs Launches that read its results.
 * @property {number} share Of the time of all launches, or of their bytes where there are no times; 0 to 1.
 */

/**
 * @typedef {object} Band Launches that follow one another in the same module and phase.
 * @property {string} title Phase and module, each a line.
 * @property {Launch[]} launches
 */

/**
 * The launches of a program, with what they read from each other.
 *
 * @param {ProgramReport} report
 * @returns {Launch[]}
 */
export function launchesOf({ dispatches, kernels }) {
  /** @type {Launch[]} */
  const launches = [];
  const costs = dispatches.map(({ ms, bytes }) => ms ?? bytes);
  const all = costs.reduce((sum, cost) => sum + cost, 0) || 1;
  /** @type {Map<number, {start: number, end: number, writer: number}[]>} */
  const written = new Map();
  dispatches.forEach((dispatch, index) => {
    /** @type {Set<number>} */
    const inputs = new Set();
    for (const { buffer, offset, size } of dispatch.reads) {
      for (const { start, end, writer } of written.get(buffer) ?? []) {
        if (start < offset + size && offset < end && writer !== index) inputs.add(writer);
      }
    }
    for (const { buffer, offset, size } of dispatch.writes) {
      const before = written.get(buffer) ?? [];
      const left = before.filter(({ start, end }) => start < offset || end > offset + size);
      written.set(buffer, [...left, { start: offset, end: offset + size, writer: index }]);
    }
    launches.push({
      index,
      dispatch,
      name: kernels[dispatch.kernel].name,
      inputs: [...inputs].sort((a, b) => a - b),
      outputs: [],
      share: costs[index] / all,
    });
    for (const input of inputs) launches[input].outputs.push(index);
  });
  return launches;
}

/**
 * Launches by module, in the order of execution.
 *
 * @param {readonly Launch[]} launches
 * @param {ProgramReport} report
 * @returns {Band[]}
 */
export function bandsOf(launches, { groups }) {
  const titles = new Map(groups.map(({ id, scopes, phase }) => [id, bandTitle(scopes, phase)]));
  /** @type {Band[]} */
  const bands = [];
  for (const launch of launches) {
    const title = titles.get(launch.dispatch.group) ?? "";
    const last = bands.at(-1);
    if (last?.title === title) last.launches.push(launch);
    else bands.push({ title, launches: [launch] });
  }
  return bands;
}

/**
 * `h.3` of `h.3.mlp` and `h.3.attn`: whole layers stay together.
 *
 * @param {readonly string[]} scopes
 * @param {string} phase
 */
function bandTitle(scopes, phase) {
  const layers = new Set(scopes.map((scope) => scope.match(/^\w+\.\d+/)?.[0] ?? scope.split(".")[0]));
  const layer = layers.size > 1 ? [...layers].sort().join(", ") : [...layers][0] ?? "";
  return [phase === "forward" && layer !== "" ? "" : phase, layer].filter((part) => part !== "").join("\n");
}
