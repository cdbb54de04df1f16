/**
 * Operands as all matmul templates see them: alike whichever axis is contiguous, and read through fragments, which are
 * what one step of the loop over depth holds of an operand in registers.
 *
 * Every position that reaches a hook is clamped: its first element lies inside the shape, so only the last elements of
 * a vec4 may lie past the end.
 *
 * @module
 */
import { InternalError } from "../errors.ts";
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
  /** Emits the load of the `f32` at (outer, depth), where the hooks can. */
  loadScalar?(w: Writer, outer: string, depth: string): string;
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
      ...hooks.loadScalarA && {
        loadScalar: (w, row, depth) => hooks.loadScalarA!(w, { batch, row, depth }),
      },
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
