// @ts-check
/**
 * Numbers as people read them.
 *
 * @module
 */

/** What is shown where there is no value. */
export const NONE = "–";

/**
 * A figure with some significant digits: 3.1416, 0.0006, 6.0e-5.
 *
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function figure(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(Math.min(2, digits - 1));
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

/** @param {number | undefined | null} value A count: 12,345. */
export function count(value) {
  return value === undefined || value === null
    ? NONE
    : value.toLocaleString("en", { maximumFractionDigits: 0 });
}

/** @param {number | null | undefined} value A count in few characters: 12.3k, 4.5M. */
export function short(value) {
  return scaled(value, 1000, ["", "k", "M", "G", "T"]);
}

/** @param {number | null | undefined} value Bytes: 12.3 MiB. */
export function bytes(value) {
  return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

/**
 * A rate: 12.3 GB/s.
 *
 * @param {number} value
 * @param {string} unit
 */
export function rate(value, unit) {
  return scaled(value, 1000, ["", "k", "M", "G", "T"].map((prefix) => ` ${prefix}${unit}`));
}

/** @param {number | null | undefined} ms A time: 850 µs, 12.3 ms, 4.2 s, 3 min 20 s. */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NONE;
  if (ms < 1) return `${figure(ms * 1000, 3)} µs`;
  if (ms < 1000) return `${figure(ms, 3)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${figure(seconds, 3)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
}

/** @param {number} share A part of a whole: 12.5 %. */
export function percent(share) {
  return `${figure(share * 100, 3)} %`;
}

const TIME = new Intl.DateTimeFormat("sv", { timeStyle: "medium" });
const DAY_AND_TIME = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });

/** @param {string} iso The time of day, and the day unless it is today's. */
export function clock(iso) {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? TIME.format(date) : DAY_AND_TIME.format(date);
}

/**
 * @param {number | null | undefined} value
 * @param {number} base
 * @param {readonly string[]} units
 */
function scaled(value, base, units) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const last = units.length - 1;
  const power = value < base ? 0 : Math.min(last, Math.floor(Math.log(value) / Math.log(base)));
  return `${figure(value / base ** power, 3)}${units[power]}`;
}
