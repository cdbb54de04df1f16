/**
 * The matmul of software adapters: one subgroup computes one tile, every lane owns a few columns (or rows) of it, and
 * the other operand is loaded spread over the lanes and broadcast with `subgroupShuffle` of a constant lane. On a CPU
 * driver a load costs as much as twenty multiply-adds and a constant shuffle as much as one, so this template trades
 * loads for shuffles; it needs no workgroup memory and no barrier.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { InternalError } from "../errors.ts";
import {
  checkTile,
  clampOuter,
  Fragment,
  type Operand,
  operandsOf,
  OwnOperand,
  plus,
} from "./matmul_fragment.ts";
import { emitTileIndex } from "./matmul_grid.ts";
import type { SubgroupSchedule } from "./matmul_schedule.ts";
import {
  ColumnSums,
  declareAccumulators,
  emitDepthLoop,
  multiplyAdd,
  storeTileInLoop,
} from "./matmul_tile.ts";
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
  if (!alongCols && shared % 4 !== 0) throw new InternalError(`matmul: ${shared} columns are not vec4s`);
  checkTile(a, tileRows);
  checkTile(b, tileCols);
  const [own, spread] = alongCols ? [b, a] : [a, b];
  w.line(
    `// Tile of a subgroup: ${tileRows} rows x ${tileCols} columns, ${perLane} ${
      alongCols ? "columns" : "rows"
    } a lane;`,
  );
  w.line(`// ${spread.name.toUpperCase()} is loaded spread over the lanes and broadcast.`);
  const workgroups = emitTileIndex(w, {
    rowTiles: Math.ceil(shape.rows / tileRows),
    colTiles: Math.ceil(shape.cols / tileCols),
    batch: shape.batch,
    band: schedule.band,
    tilesPerGroup: subgroups,
    tileInGroup: `localIndex / ${lanes}u`,
  }, target);
  const laneOffset = ` + lane * ${perLane}u`;
  w.line(`let row = rowTile * ${tileRows}u${alongCols ? "" : laneOffset};`);
  w.line(`let col = colTile * ${tileCols}u${alongCols ? laneOffset : ""};`);
  const ownLoads = new OwnOperand(w, own, alongCols ? "col" : "row", perLane, lanes * perLane);
  const spreadLoads = target.software && hasFewNumbers(spread, shared * depthStep, lanes)
    ? new SpreadNumbers(w, spread, shared, lanes, depthStep)
    : new SpreadOperand(w, spread, alongCols ? "row" : "col", shared, lanes, depthStep);
  const size = alongCols ? { rows: shared, colQuads: perLane / 4 } : { rows: perLane, colQuads: shared / 4 };
  declareAccumulators(w, size.rows, size.colQuads);
  const stores = `rowTile == 0u${alongCols ? "" : " && lane == 0u"}`;
  const sums = new ColumnSums(w, hooks, { colQuads: size.colQuads, tileCols, stores });
  const depthIterations = emitDepthLoop(w, shape.depth, depthStep, (k, depths) => {
    const spreadFragment = spreadLoads.load(w, k, depths);
    const ownFragment = ownLoads.load(w, k, depths);
    const [aFragment, bFragment] = alongCols ? [spreadFragment, ownFragment] : [ownFragment, spreadFragment];
    multiplyAdd(w, aFragment, bFragment, { ...size, depths }, 4);
    sums.add(w, bFragment, depths);
  });
  sums.store(w, shape);
  const storeIterations = storeTileInLoop(w, shape, hooks, { tileRows, tileCols, ...size });
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [lanes * subgroups, 1, 1],
    workgroups,
    loopIterations: depthIterations + storeIterations,
    workgroupBytes: 0,
  };
}

/** vec4s of a cache line of 64 bytes. */
const LINE = 4;

/**
 * The operand that is loaded once for the whole subgroup. The vec4s of a step are dealt to the lanes in turn: the
 * `n`-th is in register `n / lanes` of lane `n % lanes`. They are counted so that the lanes of one load touch as many
 * cache lines as possible: the misses of one load overlap, those of different loads hardly do.
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
    private readonly depthStep: number,
  ) {
    const alongOuter = operand.contiguous === "outer";
    this.#outers = alongOuter ? Math.ceil(tile / 4) : tile;
    this.#depths = alongOuter ? 1 : 4;
    this.#positions(w, depthStep);
  }

  /** Cache lines along the outer axis when it is contiguous, otherwise 1. */
  get #lines(): number {
    return this.#depths === 1 && this.#outers % LINE === 0 ? this.#outers / LINE : 1;
  }

  /** Where vec4 `i` along the outer axis at step `j` comes in the count. */
  #number(i: number, j: number, steps: number): number {
    if (this.#depths === 4) return j * this.#outers + i;
    const perLine = this.#outers / this.#lines;
    return (i % perLine * this.#lines + Math.floor(i / perLine)) * steps + j;
  }

  /** Emits the outer index and the depth offset that a lane loads in each register of a step of `depths` depths. */
  #positions(w: Writer, depths: number): void {
    const { operand, lanes } = this;
    const steps = Math.ceil(depths / this.#depths);
    const count = this.#outers * steps;
    for (let first = 0; first < count; first += lanes) {
      const n = w.let(
        count - first < lanes ? `min(${plus("lane", first)}, ${count - 1}u)` : plus("lane", first),
        "n",
      );
      const [outer, step] = this.#position(n, steps);
      const names = this.#names(first / lanes);
      w.line(`let ${names.outer} = ${clampOuter(operand, `${this.origin} + ${outer}`, this.tile)};`);
      w.line(`let ${names.depth} = ${step};`);
    }
  }

  /** The outer index and the depth offset of vec4 `n`: the inverse of `#number`, as WGSL. */
  #position(n: string, steps: number): [string, string] {
    const [outers, lines] = [this.#outers, this.#lines];
    if (this.#depths === 4) return [`${n} % ${outers}u`, `${n} / ${outers}u * 4u`];
    const quad = lines === 1
      ? `${n} / ${steps}u`
      : `(${n} / ${steps}u % ${lines}u * ${outers / lines}u + ${n} / ${steps * lines}u)`;
    return [`${quad} * 4u`, `${n} % ${steps}u`];
  }

  #names(register: number): { outer: string; depth: string; value: string } {
    const { name } = this.operand;
    return {
      outer: `${name}Lane_${register}`,
      depth: `${name}Depth_${register}`,
      value: `${name}Spread_${register}`,
    };
  }

  /** Emits the loads of `depths` depths from `k`; the fragment broadcasts a vec4 when it is first needed. */
  load(w: Writer, k: string, depths: number): Fragment {
    const { operand, lanes } = this;
    if (depths !== this.depthStep) this.#positions(w, depths);
    const steps = Math.ceil(depths / this.#depths);
    for (let register = 0; register * lanes < this.#outers * steps; register++) {
      const { outer, depth, value } = this.#names(register);
      w.line(`let ${value} = ${operand.load(w, outer, `${k} + ${depth}`)};`);
    }
    return new Fragment(operand.name, operand.contiguous, (w, i, j) => {
      const n = this.#number(i, j, steps);
      const name = `${operand.name}_${i}_${j}`;
      w.line(`let ${name} = subgroupShuffle(${this.#names(Math.floor(n / lanes)).value}, ${n % lanes}u);`);
      return name;
    });
  }
}

/**
 * True when lanes that load one number each load less than lanes that load a vec4 each. A CPU driver loads the components
 * of all lanes one by one, needed or not.
 */
function hasFewNumbers({ loadScalar, contiguous }: Operand, numbers: number, lanes: number): boolean {
  return loadScalar !== undefined && contiguous === "depth" &&
    Math.ceil(numbers / lanes) < 4 * Math.ceil(numbers / 4 / lanes);
}

/**
 * As {@link SpreadOperand} for few rows of A: the `n`-th number of a step is in register `n / lanes` of lane `n % lanes`.
 * A load of 16 lanes is then a quarter of one of the vec4s, which gained 5 to 15 % on products of one to four rows.
 */
class SpreadNumbers {
  constructor(
    w: Writer,
    private readonly operand: Operand,
    private readonly tile: number,
    private readonly lanes: number,
    private readonly depthStep: number,
  ) {
    this.#positions(w, depthStep);
  }

  /** Emits the row and the depth offset that a lane loads in each register of a step of `depths` depths. */
  #positions(w: Writer, depths: number): void {
    const { operand, tile, lanes } = this;
    const count = tile * depths;
    for (let first = 0; first < count; first += lanes) {
      const at = plus("lane", first);
      const n = w.let(count - first < lanes ? `min(${at}, ${count - 1}u)` : at, "n");
      const { row, depth } = this.#names(first / lanes);
      w.line(`let ${row} = ${clampOuter(operand, `row + (${n}) / ${depths}u`, tile)};`);
      w.line(`let ${depth} = (${n}) % ${depths}u;`);
    }
  }

  #names(register: number): { row: string; depth: string; value: string } {
    const { name } = this.operand;
    return {
      row: `${name}Lane_${register}`,
      depth: `${name}Depth_${register}`,
      value: `${name}Spread_${register}`,
    };
  }

  /** Emits the loads of `depths` depths from `k`; the fragment broadcasts four numbers when one is first needed. */
  load(w: Writer, k: string, depths: number): Fragment {
    const { operand, lanes, tile } = this;
    if (depths !== this.depthStep) this.#positions(w, depths);
    for (let register = 0; register * lanes < tile * depths; register++) {
      const { row, depth, value } = this.#names(register);
      w.line(`let ${value} = ${operand.loadScalar!(w, row, `${k} + ${depth}`)};`);
    }
    return new Fragment(operand.name, "depth", (w, row, quad) => {
      const numbers = [0, 1, 2, 3].map((i) => {
        const n = row * depths + Math.min(4 * quad + i, depths - 1);
        return `subgroupShuffle(${this.#names(Math.floor(n / lanes)).value}, ${n % lanes}u)`;
      });
      const name = `${operand.name}_${row}_${quad}`;
      w.line(`let ${name} = vec4(${numbers.join(", ")});`);
      return name;
    });
  }
}
