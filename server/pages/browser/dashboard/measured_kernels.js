// @ts-check
/**
 * Times of a job's kernels, from the report of its program.
 *
 * @module
 */
import { naming } from "../shared/address.js";
import { callJson } from "../shared/api.js";

/** @typedef {import("../wire.d.ts").ProgramReport} ProgramReport */
/** @typedef {import("../wire.d.ts").ProgramSummary} ProgramSummary */

/**
 * @typedef {object} KernelTime
 * @property {string} name
 * @property {number} ms Of all its launches in one run of the program.
 * @property {number} launches
 * @property {number} share
 * @property {string} href Where it is shown.
 */

/**
 * The kernels of the program that a job's steps run, dearest first; none when there is no measured program, or several,
 * whose times cannot be added: they do not run equally often.
 *
 * @param {string} job
 * @returns {Promise<readonly KernelTime[]>}
 */
export async function measuredKernels(job) {
  /** @type {{programs: readonly ProgramSummary[]}} */
  const { programs } = await callJson("/v1/programs", { quiet: true });
  const used = programs.filter(({ usedBy }) => usedBy.includes(job));
  /** @type {readonly ProgramReport[]} */
  const reports = await Promise.all(
    used.map(({ hash }) => callJson(`/v1/programs/${encodeURIComponent(hash)}`, { quiet: true })),
  );
  const measured = reports.filter(({ dispatches }) => dispatches.some(({ ms }) => ms !== undefined));
  return measured.length === 1 ? kernelsOf(measured[0]) : [];
}

/** @param {ProgramReport} report @returns {KernelTime[]} */
function kernelsOf({ hash, kernels, dispatches }) {
  const all = dispatches.reduce((sum, { ms = 0 }) => sum + ms, 0);
  /** @type {Map<number, KernelTime>} */
  const times = new Map();
  dispatches.forEach(({ kernel, ms = 0 }, at) => {
    const first = { name: kernels[kernel].name, ms: 0, launches: 0, share: 0 };
    const known = times.get(kernel) ??
      { ...first, href: `/programs${naming("program", `${hash}/${at + 1}`)}` };
    const sum = known.ms + ms;
    times.set(kernel, { ...known, ms: sum, launches: known.launches + 1, share: sum / all });
  });
  return [...times.values()].sort((a, b) => b.ms - a.ms);
}
