// @ts-check
/**
 * Reads figures out of Prometheus' text format.
 *
 * @module
 */

/**
 * Values by name with labels, as they are written: `sinter_gpu_memory_bytes{user="training"}`.
 *
 * @param {string} text
 * @returns {Map<string, number>}
 */
export function figuresOf(text) {
  const figures = new Map();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (at > 0 && !line.startsWith("#")) figures.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return figures;
}
