/**
 * The matmul without optional features: every invocation computes a tile of its own from vec4 loads. The fallback of
 * software adapters without subgroup operations, where workgroup memory would cost more than it saves.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { checkTile, operandsOf, OwnOperand } from "./matmul_fragment.ts";
import { emitTileIndex } from "./matmul_grid.ts";
import type { RegisterSchedule } from "./matmul_schedule.ts";
import {
  ColumnSums,
  declareAccumulators,
  emitDepthLoop,
  multiplyAdd,
  storeTileInLoop,
} from "./matmul_tile.ts";
import type { MatmulShape, TileHooks, TileKernel } from "./tile.ts";
import { Writer } from "./writer.ts";

/** Emits the product with a tile of `rows` by `cols` an invocation. */
export function emitRegisterMatmul(
  shape: MatmulShape,
  schedule: RegisterSchedule,
  hooks: TileHooks,
  target: Capabilities,
): TileKernel {
  const { rows, cols, groupRows, groupCols, depthStep } = schedule;
  const w = new Writer();
  const { a, b } = operandsOf(shape, hooks);
  const [tileRows, tileCols] = [rows * groupRows, cols * groupCols];
  checkTile(a, rows);
  checkTile(b, cols);
  w.line(
    `// Tile of an invocation: ${rows} rows x ${cols} columns; of the workgroup: ${tileRows} x ${tileCols}.`,
  );
  const workgroups = emitTileIndex(w, {
    rowTiles: Math.ceil(shape.rows / tileRows),
    colTiles: Math.ceil(shape.cols / tileCols),
    batch: shape.batch,
    band: schedule.band,
    tilesPerGroup: 1,
    tileInGroup: "0u",
  }, target);
  w.line(`let row = rowTile * ${tileRows}u + local.y * ${rows}u;`);
  w.line(`let col = colTile * ${tileCols}u + local.x * ${cols}u;`);
  const aLoads = new OwnOperand(w, a, "row", rows, tileRows);
  const bLoads = new OwnOperand(w, b, "col", cols, tileCols);
  const size = { rows, colQuads: cols / 4 };
  declareAccumulators(w, rows, size.colQuads);
  const stores = "rowTile == 0u && local.y == 0u";
  const sums = new ColumnSums(w, hooks, { colQuads: size.colQuads, tileCols, stores });
  const depthIterations = emitDepthLoop(w, shape.depth, depthStep, (k, depths) => {
    const aFragment = aLoads.load(w, k, depths);
    const bFragment = bLoads.load(w, k, depths);
    multiplyAdd(w, aFragment, bFragment, { ...size, depths }, 4);
    sums.add(w, bFragment, depths);
  });
  sums.store(w, shape);
  const storeIterations = storeTileInLoop(w, shape, hooks, { tileRows, tileCols, ...size });
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [groupCols, groupRows, 1],
    workgroups,
    loopIterations: depthIterations + storeIterations,
    workgroupBytes: 0,
  };
}
