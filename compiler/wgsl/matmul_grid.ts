/**
 * Numbers the output tiles of a product and finds a workgroup's tile again: tiles run in bands of `band` tile rows,
 * rows fastest, so that a band's rows of A and a few columns of B stay in the cache while the band is walked.
 *
 * @module
 */
import { LimitError } from "../errors.ts";
import type { Capabilities } from "../capabilities.ts";
import type { Writer } from "./writer.ts";

/** How output tiles are laid over workgroups. */
export interface TileGrid {
  /** Output tiles along the rows, along the columns, and products. */
  readonly rowTiles: number;
  readonly colTiles: number;
  readonly batch: number;
  /** Tile rows that are walked together. */
  readonly band: number;
  /** Tiles that one workgroup computes: 1, or the number of its subgroups. */
  readonly tilesPerGroup: number;
  /** WGSL expression of which of the workgroup's tiles an invocation works on. */
  readonly tileInGroup: string;
}

/**
 * Emits `batch`, `rowTile` and `colTile` and returns the dispatch size. Workgroups past the last tile return at once.
 *
 * @throws {LimitError} when the tiles cannot be counted in a `u32`.
 */
export function emitTileIndex(
  w: Writer,
  grid: TileGrid,
  target: Capabilities,
): readonly [number, number, number] {
  const { rowTiles, colTiles, batch, tilesPerGroup } = grid;
  const tiles = rowTiles * colTiles;
  const groups = Math.ceil(tiles / tilesPerGroup);
  const limit = target.maxWorkgroups;
  if (groups * batch * tilesPerGroup > 2 ** 31) {
    throw new LimitError("matmul", "u32 tile numbers", groups * batch, 2 ** 31);
  }
  let workgroups: readonly [number, number, number];
  let inBatch: string;
  if (groups <= limit && batch <= limit) {
    workgroups = [groups, 1, batch];
    w.line(`let batch = ${batch === 1 ? "0u" : "group.z"};`);
    inBatch = "group.x";
  } else {
    const total = groups * batch;
    const x = Math.min(total, limit);
    const y = Math.min(Math.ceil(total / x), limit);
    workgroups = [x, y, Math.ceil(total / (x * y))];
    w.line(`let groupIndex = group.x + ${x}u * (group.y + ${y}u * group.z);`);
    w.line(`if (groupIndex >= ${total}u) { return; }`);
    w.line(`let batch = groupIndex / ${groups}u;`);
    inBatch = `groupIndex % ${groups}u`;
  }
  w.line(
    `let tile = ${tilesPerGroup === 1 ? inBatch : `(${inBatch}) * ${tilesPerGroup}u + ${grid.tileInGroup}`};`,
  );
  if (groups * tilesPerGroup !== tiles) w.line(`if (tile >= ${tiles}u) { return; }`);
  const band = Math.min(grid.band, rowTiles);
  if (rowTiles === 1) {
    w.line("let rowTile = 0u;");
    w.line("let colTile = tile;");
  } else if (band === 1) {
    w.line(`let rowTile = tile / ${colTiles}u;`);
    w.line(`let colTile = tile % ${colTiles}u;`);
  } else if (band === rowTiles) {
    w.line(`let rowTile = tile % ${rowTiles}u;`);
    w.line(`let colTile = tile / ${rowTiles}u;`);
  } else {
    w.line(`let bandRow = tile / ${band * colTiles}u * ${band}u;`);
    w.line(`let inBand = tile % ${band * colTiles}u;`);
    const height = rowTiles % band === 0
      ? `${band}u`
      : w.let(`min(${band}u, ${rowTiles}u - bandRow)`, "height");
    w.line(`let rowTile = bandRow + inBand % ${height};`);
    w.line(`let colTile = inBand / ${height};`);
  }
  return workgroups;
}
