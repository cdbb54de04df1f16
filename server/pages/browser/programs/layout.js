// @ts-check
/**
 * Places launches in layers: bands of modules from top to bottom, and in a band each launch below those that it reads from.
 * After Sugiyama, Tagawa and Toda 1981, in the plain form that graphs of kernels need: layers by the longest path, and in
 * a layer each launch near the middle of its inputs.
 *
 * @module
 */

/** @typedef {import("./report.js").Launch} Launch */
/** @typedef {import("./report.js").Band} Band */

/** Sizes in the unit of the drawing: a pixel at natural size. */
export const NODE = { width: 236, height: 30, gapX: 18, gapY: 20 };
/** Room for a band's title, and around its launches. */
const GUTTER = 112;
const PADDING = 12;
const BAND_GAP = 8;
/** Most launches of a layer that stand side by side; more go below. */
const MOST_BESIDE = 5;

/**
 * @typedef {object} Place
 * @property {number} x Left edge.
 * @property {number} y Upper edge.
 */

/**
 * @typedef {object} Layout
 * @property {Place[]} places By launch.
 * @property {{title: string, y: number, height: number}[]} bands
 * @property {number} width
 * @property {number} height
 */

/**
 * @param {readonly Band[]} bands
 * @returns {Layout}
 */
export function layOut(bands) {
  const layered = bands.map(({ launches }) => rowsOf(launches));
  const widest = Math.max(1, ...layered.flat().map((row) => row.length));
  const step = NODE.width + NODE.gapX;
  /** @type {Place[]} */
  const places = [];
  /** @type {Layout["bands"]} */
  const placed = [];
  let y = 0;
  bands.forEach(({ title }, at) => {
    const rows = layered[at];
    const height = 2 * PADDING + rows.length * (NODE.height + NODE.gapY) - NODE.gapY;
    placed.push({ title, y, height });
    rows.forEach((row, level) => {
      const top = y + PADDING + level * (NODE.height + NODE.gapY);
      // Left to right in the order of their inputs, from the first column on.
      const wished = row.map((launch) => ({ launch, at: meanColumn(launch, places) }));
      wished.sort((a, b) => a.at - b.at || a.launch.index - b.launch.index);
      let column = 0;
      wished.forEach(({ launch, at: wish }, i) => {
        const latest = widest - (wished.length - i);
        column = Math.min(latest, Math.max(column, Math.round(wish)));
        places[launch.index] = { x: GUTTER + PADDING + column * step, y: top };
        column++;
      });
    });
    y += height + BAND_GAP;
  });
  return {
    places,
    bands: placed,
    width: GUTTER + 2 * PADDING + widest * step - NODE.gapX,
    height: y - BAND_GAP,
  };
}

/**
 * Layers of a band.
 *
 * @param {readonly Launch[]} launches
 * @returns {Launch[][]}
 */
function rowsOf(launches) {
  /** @type {Map<number, number>} */
  const levels = new Map();
  /** @type {Launch[][]} */
  const rows = [];
  for (const launch of launches) {
    const above = launch.inputs.map((input) => levels.get(input) ?? -1);
    let level = Math.max(-1, ...above) + 1;
    while ((rows[level]?.length ?? 0) >= MOST_BESIDE) level++;
    levels.set(launch.index, level);
    for (let i = rows.length; i <= level; i++) rows.push([]);
    rows[level].push(launch);
  }
  return rows.filter((row) => row.length > 0);
}

/**
 * @param {Launch} launch
 * @param {readonly Place[]} places
 */
function meanColumn({ inputs }, places) {
  const columns = inputs.slice(-2).map((input) =>
    (places[input].x - GUTTER - PADDING) / (NODE.width + NODE.gapX)
  );
  return columns.length === 0 ? 0 : columns.reduce((sum, column) => sum + column, 0) / columns.length;
}
