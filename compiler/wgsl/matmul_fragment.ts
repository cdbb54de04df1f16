/**
 * What all matmul templates share: operands seen alike whichever axis is contiguous, fragments (what one step holds of
 * an operand), the loop over depth, the multiply-accumulate statements and the store.
 *
 * Every position that reaches a hook is clamped or guarded: its first element lies inside the shape, so only the last
 * elements of a vec4 may lie past the end. Elements past `depth` never enter the sum, whatever a load gives for them.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { InternalError, LimitError } from "../errors.ts";
import type { MatmulShape, TileHooks } from "./tile.ts";
import type { Writer } from "./writer.ts";

const COMPONENTS = ["x", "y", "z", "w"] as const;

/** An operand with its rows or columns under one name: the outer axis, the one that is not summed. */
export interface Operand {
  readonly name: "a" | "b";
  /** Elements along the outer axis: rows of A, columns of B. */
  readonly extent: number;
  /** The axis that the four elements of one load run along. */
  readonly contiguous: "depth" | "outer";
  /** Emits the load of the vec4 that starts at (outer, depth) of product `batch`. */
  load(w: Writer, outer: string, depth: string): string;
}

/** Both operands of a product. */
export function operandsOf(shape: MatmulShape, hooks: TileHooks): { a: Operand; b: Operand } {
  const batch = "batch";
  return {
    a: {
      name: "a",
      extent: shape.rows,
      contiguous: shape.aContiguous === "depth" ? "depth" : "outer",
      load: (w, row, depth) => hooks.loadA(w, { batch, row, depth }),
    },
    b: {
      name: "b",
      extent: shape.cols,
      contiguous: shape.bContiguous === "depth" ? "depth" : "outer",
      load: (w, col, depth) => hooks.loadB(w, { batch, col, depth }),
    },
  };
}

/** Refuses a tile whose quads along a contiguous outer axis would not start at multiples of four. */
export function checkTile(operand: Operand, tile: number): void {
  if (operand.contiguous === "outer" && tile % 4 !== 0 && operand.extent > tile) {
    throw new InternalError(`matmul: a tile of ${tile} cuts the vec4s of ${operand.name}`);
  }
}

/** An outer index that stays inside the operand; `expression` itself when the tiles fit exactly. */
export function clampOuter(operand: Operand, expression: string, tile: number): string {
  if (operand.extent % tile === 0) return expression;
  const last = operand.contiguous === "depth" ? operand.extent - 1 : (operand.extent - 1) & ~3;
  return `min(${expression}, ${last}u)`;
}

/** `expression + offset` as WGSL, without the noise of adding nothing. */
export function plus(expression: string, offset: number): string {
  if (offset === 0) return expression;
  return /^\d+u$/.test(expression) ? `${parseInt(expression) + offset}u` : `${expression} + ${offset}u`;
}

/**
 * What one step holds of an operand, in static indices relative to the tile and to the step. `register(i, j)` names a
 * vec4: quad `i` of the outer axis at depth `j`, or outer index `i` at quad `j` of the depth. It is asked for when a
 * statement first needs it, and may emit statements.
 */
export class Fragment {
  readonly #named = new Map<string, string>();

  constructor(
    private readonly name: string,
    private readonly contiguous: "depth" | "outer",
    private readonly register: (w: Writer, i: number, j: number) => string,
  ) {}

  /** The `f32` at (outer, depth). */
  scalar(w: Writer, outer: number, depth: number): string {
    return this.contiguous === "outer"
      ? `${this.#register(w, outer >> 2, depth)}.${COMPONENTS[outer & 3]}`
      : `${this.#register(w, outer, depth >> 2)}.${COMPONENTS[depth & 3]}`;
  }

  /** The `vec4<f32>` of outer indices 4 * quad to 4 * quad + 3 at one depth. */
  quad(w: Writer, quad: number, depth: number): string {
    if (this.contiguous === "outer") return this.#register(w, quad, depth);
    return this.#once(`quad ${quad} ${depth}`, () => {
      const elements = [0, 1, 2, 3].map((i) => this.scalar(w, 4 * quad + i, depth));
      const name = `${this.name}_${quad}_k${depth}`;
      w.line(`let ${name} = vec4(${elements.join(", ")});`);
      return name;
    });
  }

  #register(w: Writer, i: number, j: number): string {
    return this.#once(`${i} ${j}`, () => this.register(w, i, j));
  }

  #once(key: string, make: () => string): string {
    let name = this.#named.get(key);
    if (name === undefined) this.#named.set(key, name = make());
    return name;
  }
}

/**
 * Emits the loop over depth: `step(k, depths)` emits the statements of `depths` consecutive depths from `k`. Full steps
 * share one loop; a remainder gets statements of its own, so that full steps pay nothing for it.
 *
 * @returns The loop's iterations.
 * @throws {LimitError} when the target cannot run that many.
 */
export function emitDepthLoop(
  w: Writer,
  depth: number,
  depthStep: number,
  target: Capabilities,
  step: (k: string, depths: number) => void,
): number {
  const full = Math.floor(depth / depthStep);
  const rest = depth - full * depthStep;
  if (full > target.maxLoopIterations) {
    throw new LimitError("matmul's depth", "maxLoopIterations", full, target.maxLoopIterations);
  }
  if (full === 1) w.block("", () => step("0u", depthStep));
  if (full > 1) {
    const header = `for (var k = 0u; k < ${full * depthStep}u; k += ${depthStep}u)`;
    w.block(header, () => step("k", depthStep));
  }
  if (rest > 0) w.block("", () => step(`${full * depthStep}u`, rest));
  return full > 1 ? full : 0;
}

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

/** An operand of which every invocation loads its own elements: `count` neighbours along the outer axis. */
export class OwnOperand {
  readonly #positions: string[] = [];

  /** `origin` names the invocation's first outer index; tiles repeat after `tile` indices. */
  constructor(w: Writer, private readonly operand: Operand, origin: string, count: number, tile: number) {
    const step = operand.contiguous === "outer" ? 4 : 1;
    for (let i = 0; i < count; i += step) {
      const name = `${operand.name}Own_${i / step}`;
      w.line(`let ${name} = ${clampOuter(operand, plus(origin, i), tile)};`);
      this.#positions.push(name);
    }
  }

  /** Emits the loads of `depths` depths from `k`, all depths of a position together: they lie in different lines. */
  load(w: Writer, k: string, depths: number): Fragment {
    const { operand } = this;
    const step = operand.contiguous === "outer" ? 1 : 4;
    const name = (i: number, j: number) => `${operand.name}_${i}_${j}`;
    this.#positions.forEach((position, i) => {
      for (let depth = 0; depth < depths; depth += step) {
        w.line(`let ${name(i, depth / step)} = ${operand.load(w, position, plus(k, depth))};`);
      }
    });
    return new Fragment(operand.name, operand.contiguous, (_, i, j) => name(i, j));
  }
}

/** The order of an invocation's multiply-adds. */
export interface MultiplyOrder {
  /** Rows that are walked for one quad of columns before the next quad. */
  readonly rowBlock: number;
  /** Depths that one statement sums before it adds to an accumulator. */
  readonly terms: number;
}

/** Adds `depths` terms to every accumulator. */
export function multiplyAdd(
  w: Writer,
  a: Fragment,
  b: Fragment,
  size: { readonly rows: number; readonly colQuads: number; readonly depths: number },
  order: MultiplyOrder,
): void {
  const emit = (row: number, quad: number, first: number) => {
    const terms: string[] = [];
    for (let depth = first; depth < Math.min(first + order.terms, size.depths); depth++) {
      terms.push(`${a.scalar(w, row, depth)} * ${b.quad(w, quad, depth)}`);
    }
    w.line(`${accumulator(row, quad)} += ${terms.join(" + ")};`);
  };
  for (let first = 0; first < size.depths; first += order.terms) {
    for (let block = 0; block < size.rows; block += order.rowBlock) {
      for (let quad = 0; quad < size.colQuads; quad++) {
        for (let row = block; row < Math.min(block + order.rowBlock, size.rows); row++) {
          emit(row, quad, first);
        }
      }
    }
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
