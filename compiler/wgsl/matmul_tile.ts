/**
 * The statements that all matmul templates share: an invocation's accumulators, the loop over depth, the
 * multiply-accumulate statements and the stores.
 *
 * @module
 */
import { type Fragment, plus } from "./matmul_fragment.ts";
import type { MatmulShape, TileHooks } from "./tile.ts";
import type { Writer } from "./writer.ts";

/** Name of the accumulator of four columns of a row, relative to the invocation's own tile. */
export function accumulator(row: number, colQuad: number): string {
  return `acc_${row}_${colQuad}`;
}

/** Declares an invocation's accumulators, all zero. */
export function declareAccumulators(w: Writer, rows: number, colQuads: number): void {
  for (let row = 0; row < rows; row++) {
    for (let quad = 0; quad < colQuads; quad++) w.line(`var ${accumulator(row, quad)} = vec4<f32>();`);
  }
}

/**
 * Emits the loop over depth: `step(k, depths)` emits the statements of `depths` consecutive depths from `k`. Full steps
 * share one loop; a remainder gets statements of its own, so that full steps pay nothing for it.
 * Elements past `depth` never enter a sum.
 *
 * @returns The loop's iterations.
 */
export function emitDepthLoop(
  w: Writer,
  depth: number,
  depthStep: number,
  step: (k: string, depths: number) => void,
): number {
  const full = Math.floor(depth / depthStep);
  const rest = depth - full * depthStep;
  // A name, not a literal: where a padded operand starts before depth 0, WGSL refuses a constant index below 0.
  const once = (first: number, depths: number) =>
    w.block("", () => {
      w.line(`let k = ${first}u;`);
      step("k", depths);
    });
  if (full === 1) once(0, depthStep);
  if (full > 1) {
    const header = `for (var k = 0u; k < ${full * depthStep}u; k += ${depthStep}u)`;
    w.block(header, () => step("k", depthStep));
  }
  if (rest > 0) once(full * depthStep, rest);
  return full > 1 ? full : 0;
}

/**
 * Adds `depths` terms to every accumulator, `terms` of them in one statement. Columns are outermost: with four terms,
 * the sixteen vectors of a quad of columns then stay in a CPU's registers while the rows pass by, which brought a
 * 32 x 8 tile on lavapipe from 48 to 57 GFLOP/s; one term a statement halved it.
 */
export function multiplyAdd(
  w: Writer,
  a: Fragment,
  b: Fragment,
  size: { readonly rows: number; readonly colQuads: number; readonly depths: number },
  terms: number,
): void {
  for (let first = 0; first < size.depths; first += terms) {
    const last = Math.min(first + terms, size.depths);
    for (let quad = 0; quad < size.colQuads; quad++) {
      for (let row = 0; row < size.rows; row++) {
        const products: string[] = [];
        for (let depth = first; depth < last; depth++) {
          products.push(`${a.scalar(w, row, depth)} * ${b.quad(w, quad, depth)}`);
        }
        w.line(`${accumulator(row, quad)} += ${products.join(" + ")};`);
      }
    }
  }
}

/** Which invocations hold the sums of B's columns, and which columns. */
interface ColumnOwners {
  readonly colQuads: number;
  /** Columns after which tiles repeat. */
  readonly tileCols: number;
  /** Where each sum is stored once, as a WGSL condition. */
  readonly stores: string;
  /** Where the sums are added up; everywhere unless given, which is cheaper than a branch in a short loop. */
  readonly adds?: string;
  /** Offset of a quad of columns; 4 unless given. */
  colOffset?(quad: number): number;
}

/** The by-product of a product: the sums of B's columns, which every row of tiles could compute and the first one stores. */
export class ColumnSums {
  constructor(w: Writer, private readonly hooks: TileHooks, private readonly owners: ColumnOwners) {
    if (!hooks.storeColumnSums) return;
    for (let quad = 0; quad < owners.colQuads; quad++) w.line(`var columns_${quad} = vec4<f32>();`);
  }

  /** Adds what one step holds of B; its registers must have been named before. */
  add(w: Writer, b: Fragment, depths: number): void {
    if (!this.hooks.storeColumnSums) return;
    const { adds, colQuads } = this.owners;
    const sum = () => {
      for (let quad = 0; quad < colQuads; quad++) {
        const terms = Array.from({ length: depths }, (_, depth) => b.quad(w, quad, depth));
        w.line(`columns_${quad} += ${terms.join(" + ")};`);
      }
    };
    if (adds) w.block(`if (${adds})`, sum);
    else sum();
  }

  /** Stores the sums. */
  store(w: Writer, shape: MatmulShape): void {
    const { hooks, owners } = this;
    if (!hooks.storeColumnSums) return;
    w.block(`if (${owners.stores})`, () => {
      for (let quad = 0; quad < owners.colQuads; quad++) {
        const col = plus("col", owners.colOffset?.(quad) ?? 4 * quad);
        guarded(w, [inside(col, shape.cols, owners.tileCols)], () => {
          hooks.storeColumnSums!(w, { batch: "batch", col }, `columns_${quad}`);
        });
      }
    });
  }
}

/** Where an invocation's own elements of the result lie, relative to the names `row` and `col`. */
export interface OwnTile {
  /** Rows and columns after which tiles repeat: the workgroup's or the subgroup's. */
  readonly tileRows: number;
  readonly tileCols: number;
  readonly rows: number;
  readonly colQuads: number;
}

/**
 * Emits the stores of the accumulators whose first element lies inside the result. Offsets of an own row and of an own
 * quad of columns are the identity and 4 unless given.
 */
export function storeTile(
  w: Writer,
  shape: MatmulShape,
  hooks: TileHooks,
  tile: OwnTile,
  rowOffset: (row: number) => number = (row) => row,
  colOffset: (quad: number) => number = (quad) => 4 * quad,
): void {
  for (let r = 0; r < tile.rows; r++) {
    const row = plus("row", rowOffset(r));
    guarded(w, [inside(row, shape.rows, tile.tileRows)], () => {
      for (let quad = 0; quad < tile.colQuads; quad++) {
        const col = plus("col", colOffset(quad));
        guarded(w, [inside(col, shape.cols, tile.tileCols)], () => {
          hooks.store(w, { batch: "batch", row, col }, accumulator(r, quad));
        });
      }
    });
  }
}

/** Stores in the body of the loop of `storeTileInLoop`. */
const STORES = 4;

/**
 * The same as a loop that stores the first four accumulators and moves the others up. A CPU driver compiles every
 * store, with the epilogue that it carries, to hundreds of instructions; 64 of them with bias, GELU and residual took
 * lavapipe 1.9 s to compile, this loop 0.35 s, and no time could be seen to be lost in running it. (An array of
 * results with a variable index is no way out: its loop is unrolled again.)
 *
 * @returns The loop's iterations.
 */
export function storeTileInLoop(w: Writer, shape: MatmulShape, hooks: TileHooks, tile: OwnTile): number {
  const { rows, colQuads } = tile;
  const count = rows * colQuads;
  if (count <= STORES || count % STORES !== 0) {
    storeTile(w, shape, hooks, tile);
    return 0;
  }
  const all = Array.from({ length: count }, (_, n) => accumulator(Math.floor(n / colQuads), n % colQuads));
  w.block(`for (var n = 0u; n < ${count}u; n += ${STORES}u)`, () => {
    all.slice(0, STORES).forEach((result, i) => {
      const row = w.let(
        colQuads === 1 ? `row + ${plus("n", i)}` : `row + (${plus("n", i)}) / ${colQuads}u`,
        "row",
      );
      const col = colQuads === 1 ? "col" : w.let(`col + (${plus("n", i)}) % ${colQuads}u * 4u`, "col");
      guarded(w, [inside(row, shape.rows, tile.tileRows), inside(col, shape.cols, tile.tileCols)], () => {
        hooks.store(w, { batch: "batch", row, col }, result);
      });
    });
    for (let i = STORES; i < count; i++) w.line(`${all[i - STORES]} = ${all[i]};`);
  });
  return count / STORES;
}

/** The condition that an index may fail, or nothing when tiles fit the extent exactly. */
function inside(index: string, extent: number, tile: number): string | undefined {
  return extent % tile === 0 ? undefined : `${index} < ${extent}u`;
}

function guarded(w: Writer, conditions: readonly (string | undefined)[], body: () => void): void {
  const needed = conditions.filter((condition) => condition !== undefined);
  if (needed.length === 0) body();
  else w.block(`if (${needed.join(" && ")})`, body);
}
