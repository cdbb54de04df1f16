/**
 * The matmul of software adapters: one subgroup computes one tile, every lane owns a few columns (or rows) of it, and
 * the other operand is loaded spread over the lanes and broadcast with `subgroupShuffle` of a constant lane. On a CPU
 * driver a load costs as much as twenty multiply-adds and a constant shuffle as much as one, so this template trades
 * loads for shuffles; it needs no workgroup memory and no barrier.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import {
  checkTile,
  clampOuter,
  declareAccumulators,
  emitDepthLoop,
  Fragment,
  multiplyAdd,
  type Operand,
  operandsOf,
  OwnOperand,
  plus,
  storeTileInLoop,
} from "./matmul_fragment.ts";
import { emitTileIndex } from "./matmul_grid.ts";
import type { SubgroupSchedule } from "./matmul_schedule.ts";
import type { MatmulShape, TileHooks, TileKernel } from "./tile.ts";
import { Writer } from "./writer.ts";

/** Emits the product with a tile of `shared` elements of the broadcast operand by `lanes * perLane` of the other. */
export function emitSubgroupMatmul(
  shape: MatmulShape,
  schedule: SubgroupSchedule,
  hooks: TileHooks,
  target: Capabilities,
): TileKernel {
  const { lanes, lanesAlong, perLane, shared, subgroups, depthStep } = schedule;
  const w = new Writer();
  const { a, b } = operandsOf(shape, hooks);
  const alongCols = lanesAlong === "cols";
  const [tileRows, tileCols] = alongCols ? [shared, lanes * perLane] : [lanes * perLane, shared];
  checkTile(a, tileRows);
  checkTile(b, tileCols);
  const [own, spread] = alongCols ? [b, a] : [a, b];
  w.line(`// Tile of a subgroup: ${tileRows} rows x ${tileCols} columns, ${perLane} ${lanesAlong} a lane;`);
  w.line(`// ${spread.name.toUpperCase()} is loaded spread over the lanes and broadcast.`);
  const workgroups = emitTileIndex(w, {
    rowTiles: Math.ceil(shape.rows / tileRows),
    colTiles: Math.ceil(shape.cols / tileCols),
    batch: shape.batch,
    band: schedule.band,
    tilesPerGroup: subgroups,
    tileInGroup: `localIndex / ${lanes}u`,
  }, target);
  w.line(`let row = rowTile * ${tileRows}u${alongCols ? "" : " + lane * 4u"};`);
  w.line(`let col = colTile * ${tileCols}u${alongCols ? " + lane * 4u" : ""};`);

  const ownLoads = new OwnOperand(w, own, alongCols ? "col" : "row", perLane, lanes);
  const spreadLoads = new SpreadOperand(w, spread, alongCols ? "row" : "col", shared, lanes, depthStep);
  const size = alongCols
    ? { rows: shared, colQuads: perLane / 4 }
    : { rows: perLane, colQuads: Math.ceil(shared / 4) };
  declareAccumulators(w, size.rows, size.colQuads);
  // Sixteen vectors of the lanes' own operand stay in registers while the broadcast operand passes by.
  const order = { rowBlock: alongCols ? shared : 4, terms: 4 };
  const depthIterations = emitDepthLoop(w, shape.depth, depthStep, target, (k, depths) => {
    const spreadFragment = spreadLoads.load(w, k, depths);
    const ownFragment = ownLoads.load(w, k, depths);
    const [aFragment, bFragment] = alongCols ? [spreadFragment, ownFragment] : [ownFragment, spreadFragment];
    multiplyAdd(w, aFragment, bFragment, { ...size, depths }, order);
  });
  const storeIterations = storeTileInLoop(w, shape, hooks, {
    tileRows,
    tileCols,
    ...size,
    rowPeers: alongCols ? 1 : lanes,
    colPeers: alongCols ? lanes : 1,
  });
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [lanes * subgroups, 1, 1],
    workgroups,
    loopIterations: depthIterations + storeIterations,
    workgroupBytes: 0,
  };
}

/**
 * The operand that is loaded once for the whole subgroup. The vec4s of a step, outer index fastest, are dealt to the
 * lanes in turn: vec4 `n` is in register `n / lanes` of lane `n % lanes`.
 */
class SpreadOperand {
  /** vec4s along the outer axis. */
  readonly #outers: number;
  /** Depths of one vec4. */
  readonly #depths: 1 | 4;

  constructor(
    w: Writer,
    private readonly operand: Operand,
    private readonly origin: string,
    private readonly tile: number,
    private readonly lanes: number,
    depthStep: number,
  ) {
    const alongOuter = operand.contiguous === "outer";
    this.#outers = alongOuter ? Math.ceil(tile / 4) : tile;
    this.#depths = alongOuter ? 1 : 4;
    const count = this.#count(depthStep);
    for (let first = 0; first + lanes <= count; first += lanes) this.#position(w, first, lanes);
  }

  #count(depths: number): number {
    return this.#outers * Math.ceil(depths / this.#depths);
  }

  /** Names of the outer index and the depth offset that a lane loads in the register that starts at vec4 `first`. */
  #names(first: number): { outer: string; depth: string } {
    const register = first / this.lanes;
    return {
      outer: `${this.operand.name}Spread_${register}`,
      depth: `${this.operand.name}Depth_${register}`,
    };
  }

  /** Emits them; lanes from `used` on repeat the last vec4. */
  #position(w: Writer, first: number, used: number): void {
    const { operand, lanes } = this;
    const outers = this.#outers;
    const names = this.#names(first);
    const n = plus(used === lanes ? "lane" : `min(lane, ${used - 1}u)`, first % outers);
    const inColumn = first % outers + used <= outers;
    const outer = inColumn ? n : `(${n}) % ${outers}u`;
    const step = Math.floor(first / outers);
    const depth = inColumn ? `${step}u` : plus(`(${n}) / ${outers}u`, step);
    const position = `${this.origin} + ${operand.contiguous === "outer" ? `(${outer}) * 4u` : outer}`;
    w.line(`let ${names.outer} = ${clampOuter(operand, position, this.tile)};`);
    w.line(`let ${names.depth} = ${this.#depths === 1 ? depth : `(${depth}) * 4u`};`);
  }

  /** Emits the loads of `depths` depths from `k`; the fragment broadcasts a vec4 when it is first needed. */
  load(w: Writer, k: string, depths: number): Fragment {
    const { operand, lanes } = this;
    const count = this.#count(depths);
    for (let first = 0; first < count; first += lanes) {
      if (first + lanes > count) this.#position(w, first, count - first);
      const { outer, depth } = this.#names(first);
      w.line(`let ${operand.name}_lanes_${first / lanes} = ${operand.load(w, outer, `${k} + ${depth}`)};`);
    }
    return new Fragment(operand.name, operand.contiguous, (w, i, j) => {
      const n = j * this.#outers + i;
      const name = `${operand.name}_${i}_${j}`;
      w.line(`let ${name} = subgroupShuffle(${operand.name}_lanes_${Math.floor(n / lanes)}, ${n % lanes}u);`);
      return name;
    });
  }
}
