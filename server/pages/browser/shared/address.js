// @ts-check
/**
 * What the address names after `#`, such as `#job=first`: other words there are places on the page.
 *
 * @module
 */

/**
 * The value of a name; empty when the address does not say.
 *
 * @param {string} name
 */
export function named(name) {
  const [found, value = ""] = location.hash.slice(1).split("=");
  return found === name ? decodeURIComponent(value) : "";
}

/**
 * The part of an address that names something.
 *
 * @param {string} name
 * @param {string} value
 */
export function naming(name, value) {
  return `#${name}=${encodeURIComponent(value)}`;
}
