/**
 * The statements of attention on software adapters: products of a tile of rows, spread over the lanes of one subgroup,
 * with columns of which every lane owns a few; and the products with these scores, lanes along the channels.
 *
 * As in `matmul_subgroup.ts`, one load costs as much as twenty multiply-adds and a shuffle with constant lanes as much
 * as one: rows are broadcast by shuffles, and no lane loads what another could give it.
 *
 * @module
 */
import type { SubgroupAttention } from "./attention_schedule.ts";
import { clampRow, f32Literal, loadQuad, quadsOf } from "./attention_parts.ts";
import type { AttentionHooks, AttentionOperand, AttentionResult, AttentionShape } from "./attention_tile.ts";
import { plus } from "./matmul_fragment.ts";
import { emitDepthLoop } from "./matmul_tile.ts";
import type { Writer } from "./writer.ts";

const COMPONENTS = ["x", "y", "z", "w"] as const;
/** Products that are added in one statement; see `multiplyAdd`. */
const TERMS = 4;
/** Exponentials of vectors in the body of a loop of them. */
const EXPONENTIALS = 16;
/** Stores in the body of a loop of stores; see `storeTileInLoop`. */
const STORES = 4;

/** A binary function or operator as WGSL. */
type Combine = (a: string, b: string) => string;

/** One kernel of a subgroup: its shape, schedule and hooks, and what follows from them. */
export class LaneTiles {
  readonly lanes: number;
  readonly rows: number;
  readonly perLane: 1 | 2 | 4;
  /** Columns of a tile. */
  readonly columns: number;
  /** Quads of channels that a lane owns of a result. */
  readonly quads: number;
  /** Lanes that cover all channels, when several such groups fit into a subgroup: each then sums its own columns. */
  readonly groupLanes: number;

  constructor(
    readonly w: Writer,
    readonly shape: AttentionShape,
    readonly schedule: SubgroupAttention,
    readonly hooks: AttentionHooks,
    readonly extents: { readonly rows: number; readonly columns: number },
  ) {
    const { lanes, rows, perLane } = schedule;
    const all = quadsOf(shape);
    this.lanes = lanes;
    this.rows = rows;
    this.perLane = perLane;
    this.columns = lanes * perLane;
    this.quads = Math.ceil(all / lanes);
    this.groupLanes = all < lanes && lanes % all === 0 ? all : lanes;
  }

  /** Type of what a lane holds of one row of a tile. */
  get vector(): string {
    return this.perLane === 1 ? "f32" : `vec${this.perLane}<f32>`;
  }

  /** Rows by their static index. */
  get eachRow(): number[] {
    return Array.from({ length: this.rows }, (_, row) => row);
  }

  /** A lane's value for its `i`-th column, from the vector that holds them all. */
  part(vector: string, i: number): string {
    return this.perLane === 1 ? vector : `${vector}.${COMPONENTS[i]}`;
  }

  /** The lane's columns as one vector from one expression each. */
  join(parts: readonly string[]): string {
    return this.perLane === 1 ? parts[0] : `vec${this.perLane}(${parts.join(", ")})`;
  }

  /** What one value holds of a row: its parts joined by a binary function or operator. */
  across(vector: string, combine: Combine): string {
    return Array.from({ length: this.perLane }, (_, i) => this.part(vector, i)).reduce(combine);
  }

  /**
   * Emits the reductions over the lanes of one value a row, and returns what holds them: row `i` is in register
   * `i / lanes` of lane `i % lanes`. Two rows share each step: a lane keeps the one that it will stand for, so that all
   * rows of a register take one step a row instead of one a row and bit of the lane.
   */
  reduceRows(values: readonly string[], combine: Combine): string[] {
    const { w, lanes } = this;
    const registers: string[] = [];
    for (let first = 0; first < values.length; first += lanes) {
      let level = Array.from({ length: lanes }, (_, i) => values[Math.min(first + i, values.length - 1)]);
      for (let apart = 1; apart < lanes; apart *= 2) {
        const low = `(lane & ${apart}u) == 0u`;
        level = Array.from({ length: level.length / 2 }, (_, i) => {
          const [a, b] = [level[2 * i], level[2 * i + 1]];
          const kept = a === b ? a : w.let(`select(${b}, ${a}, ${low})`, "kept");
          const given = a === b ? a : w.let(`select(${a}, ${b}, ${low})`, "given");
          return w.let(combine(kept, `subgroupShuffle(${given}, lane ^ ${apart}u)`), "both");
        });
      }
      registers.push(level[0]);
    }
    return registers;
  }

  /** A row's value from registers that hold all rows in turn, for all lanes. */
  ofRow(registers: readonly string[], row: number): string {
    return `subgroupShuffle(${registers[Math.floor(row / this.lanes)]}, ${row % this.lanes}u)`;
  }

  /** Emits the use of what a register holds of each row: by the lane that stands for it. */
  byLane(register: number, use: (row: string) => void): void {
    const { w, lanes, rows, extents } = this;
    const count = Math.min(lanes, rows - register * lanes);
    const row = w.let(`rowStart + ${plus("lane", register * lanes)}`, "row");
    const conditions = [
      ...(count < lanes ? [`lane < ${count}u`] : []),
      ...(extents.rows % rows === 0 ? [] : [`${row} < ${extents.rows}u`]),
    ];
    w.block(conditions.length === 0 ? "" : `if (${conditions.join(" && ")})`, () => use(row));
  }

  /** Names of rows that the lanes hold in turn: row `i` is in register `i / lanes` of lane `i % lanes`. */
  spreadRows(): string[] {
    const { w, lanes, rows, extents } = this;
    const registers: string[] = [];
    for (let first = 0; first < rows; first += lanes) {
      const lane = rows - first < lanes ? `min(lane, ${rows - first - 1}u)` : "lane";
      const row = `rowStart + ${plus(lane, first)}`;
      registers.push(w.let(clampRow(row, extents.rows, rows), "rowLane"));
    }
    return registers;
  }

  /**
   * Emits `<name>_<row>`: `seed` plus `factor` times the products of a tile's rows of one operand with the lanes'
   * columns of another, whose rows are named by `owned`.
   *
   * @returns The loop's iterations.
   */
  score(name: string, product: {
    readonly row: AttentionOperand;
    readonly spread: readonly string[];
    readonly column: AttentionOperand;
    readonly owned: readonly string[];
    readonly factor: number;
    readonly seed: (row: number) => string;
  }): number {
    const { w, shape, hooks } = this;
    for (const r of this.eachRow) w.line(`var ${name}_${r} = ${product.seed(r)};`);
    return emitDepthLoop(w, 4 * quadsOf(shape), this.schedule.channelStep, (k, channels) => {
      for (let c = 0; c < channels; c += 4) {
        const col = plus(k, c);
        const load = (operand: AttentionOperand, at: string) => loadQuad(w, shape, hooks, operand, at, col);
        const scaled = product.factor === 1 ? "" : ` * ${f32Literal(product.factor)}`;
        const spread = product.spread.map((at) => w.let(`${load(product.row, at)}${scaled}`, product.row));
        const owned = product.owned.map((at) => w.let(load(product.column, at), product.column));
        const parts = COMPONENTS.map((x) => this.join(owned.map((value) => `${value}.${x}`)))
          .map((value) => this.perLane === 1 ? value : w.let(value, "columns"));
        for (const r of this.eachRow) {
          const one = w.let(this.ofRow(spread, r), "one");
          const terms = COMPONENTS.map((x, i) => `${one}.${x} * ${parts[i]}`);
          w.line(`${name}_${r} += ${terms.join(" + ")};`);
        }
      }
    });
  }

  /**
   * Emits a loop that takes a tile's rows in turn, `step` at a time, so that a CPU driver compiles what is done to a row
   * only `step` times: `body(i, n)` reads the first `step` rows of the named variables, rows `n + i` of the tile, and
   * the loop moves all rows up. What it returns takes the row's place in the variable of that name; once every row had
   * its turn, all are in place again.
   *
   * @returns The loop's iterations.
   */
  inTurn(
    names: readonly string[],
    step: number,
    body: (row: number, index: string) => Readonly<Record<string, string>>,
  ): number {
    const { w, rows } = this;
    const update = (first: string) => {
      const results = Array.from({ length: step }, (_, i) => body(i, plus(first, i)));
      if (step < rows) {
        for (const name of names) {
          for (let r = step; r < rows; r++) w.line(`${name}_${r - step} = ${name}_${r};`);
        }
      }
      results.forEach((result, i) => {
        for (const [name, value] of Object.entries(result)) w.line(`${name}_${rows - step + i} = ${value};`);
      });
    };
    if (step === rows) {
      w.block("", () => update("0u"));
      return 0;
    }
    // Mesa unrolls short loops whose iterations it can count, which would undo what this one is for. It does not see
    // that the product of two neighbours is even.
    const end = w.let(`${rows}u + (lane * (lane + 1u) & 1u)`, "end");
    w.block(`for (var n = 0u; n < ${end}; n += ${step}u)`, () => update("n"));
    return rows / step;
  }

  /**
   * Emits two to the power of `<name>_<row>` in its place: a few rows in turn, for one exponential is twenty
   * instructions of a CPU.
   *
   * @returns The loop's iterations.
   */
  exponentials(name: string): number {
    const step = dividing(this.rows, EXPONENTIALS / this.perLane);
    return this.inTurn([name], step, (r) => ({ [name]: this.w.let(`exp2(${name}_${r})`, "power") }));
  }

  /** Declares the accumulators of a result. */
  declare(name: string): void {
    for (const r of this.eachRow) {
      for (let quad = 0; quad < this.quads; quad++) this.w.line(`var ${name}${quad}_${r} = vec4<f32>();`);
    }
  }

  /** Emits a factor on the accumulators of a row. */
  scaleRow(name: string, row: number, factor: string): void {
    for (let quad = 0; quad < this.quads; quad++) this.w.line(`${name}${quad}_${row} *= ${factor};`);
  }

  /** The lane's first channel of a result: emitted once. */
  emitChannel(): void {
    const { w, groupLanes, lanes, quads, shape } = this;
    const all = quadsOf(shape);
    const lane = groupLanes < lanes ? `(lane & ${groupLanes - 1}u)` : "lane";
    w.line(`let channel = ${lane} * ${4 * quads}u;`);
    for (let quad = 0; quad < quads; quad++) {
      const col = plus("channel", 4 * quad);
      const reach = lanes * quads > all && groupLanes === lanes;
      w.line(`let channel_${quad} = ${reach ? `min(${col}, ${4 * all - 4}u)` : col};`);
    }
  }

  /**
   * Emits the products of a tile's weights `<weights>_<row>` with the tile's columns of an operand, into accumulators.
   * Columns from `end` on have weight 0. The weights are turned from lane to lane so that the loop's shuffles have
   * constant lanes.
   *
   * @returns The loop's iterations.
   */
  accumulate(name: string, weights: string, operand: AttentionOperand, start: string, end: string): number {
    const { w, shape, hooks, schedule, perLane, groupLanes, lanes } = this;
    const each = groupLanes * perLane;
    const step = Math.min(schedule.columnStep, each);
    const grouped = groupLanes < lanes;
    const from = grouped ? w.let(`${start} + lane / ${groupLanes}u * ${each}u`, "from") : start;
    const own = grouped ? w.let(`lane & ${lanes - groupLanes}u`, "own") : "";
    const body = (j: string) => {
      for (let first = 0; first < step; first += TERMS) {
        const count = Math.min(TERMS, step - first);
        const columns = Array.from({ length: count }, (_, i) => first + i);
        const values = columns.map((column) => {
          const at = w.let(`min(${plus(`${from} + ${j}`, column)}, ${this.extents.columns - 1}u)`, "at");
          return Array.from(
            { length: this.quads },
            (_, quad) => w.let(loadQuad(w, shape, hooks, operand, at, `channel_${quad}`), operand),
          );
        });
        const shared = this.eachRow.map((r) => this.#broadcast(`${weights}_${r}`, columns, own));
        for (let quad = 0; quad < this.quads; quad++) {
          for (const r of this.eachRow) {
            const terms = columns.map((_, i) => `${shared[r][i]} * ${values[i][quad]}`);
            w.line(`${name}${quad}_${r} += ${terms.join(" + ")};`);
          }
        }
      }
    };
    if (step === each) {
      w.block("", () => body("0u"));
      return 0;
    }
    const turn = `(lane + ${step / perLane}u) & ${groupLanes - 1}u`;
    const next = w.let(grouped ? `${own} + (${turn})` : turn, "next");
    w.block(`for (var j = 0u; j < min(${each}u, ${end} - ${start}); j += ${step}u)`, () => {
      body("j");
      for (const r of this.eachRow) w.line(`${weights}_${r} = subgroupShuffle(${weights}_${r}, ${next});`);
    });
    return Math.ceil(each / step);
  }

  /** Emits a row's weights of some columns, each in all lanes of a group, and returns them. */
  #broadcast(vector: string, columns: readonly number[], own: string): string[] {
    const { w, perLane } = this;
    const lanes = [...new Set(columns.map((column) => Math.floor(column / perLane)))];
    const parts = lanes.map((lane) =>
      w.let(`subgroupShuffle(${vector}, ${own === "" ? `${lane}u` : plus(own, lane)})`, "weight")
    );
    return columns.map((column) =>
      this.part(parts[lanes.indexOf(Math.floor(column / perLane))], column % perLane)
    );
  }

  /**
   * Emits the stores of a result times a factor.
   *
   * @returns The loop's iterations.
   */
  store(result: AttentionResult, name: string, factor: number): number {
    const { w, quads, rows, lanes, groupLanes } = this;
    const each = Array.from({ length: quads }, (_, quad) => quad);
    const step = dividing(rows, Math.max(1, Math.floor(STORES / quads)));
    return this.inTurn(each.map((quad) => `${name}${quad}`), step, (r, index) => {
      const row = w.let(`rowStart + ${index}`, "row");
      w.block(this.#rowInside(row), () => {
        for (const quad of each) {
          let value = `${name}${quad}_${r}`;
          for (let apart = groupLanes; apart < lanes; apart *= 2) {
            value = w.let(`${value} + subgroupShuffle(${value}, lane ^ ${apart}u)`, "sum");
          }
          const scaled = factor === 1 ? value : w.let(`${value} * ${f32Literal(factor)}`, "value");
          const col = plus("channel", 4 * quad);
          const store = () => this.hooks.store(w, result, { batch: "batch", row, col }, scaled);
          const guard = this.#channelInside(col);
          if (guard === "") store();
          else w.block(guard, store);
        }
      });
      return {};
    });
  }

  #rowInside(row: string): string {
    return this.extents.rows % this.rows === 0 ? "" : `if (${row} < ${this.extents.rows}u)`;
  }

  #channelInside(col: string): string {
    const { lanes, groupLanes, quads, shape } = this;
    if (groupLanes < lanes) return `if (lane < ${groupLanes}u)`;
    return 4 * lanes * quads > shape.width ? `if (${col} < ${shape.width}u)` : "";
  }
}

/** The largest number up to `most` that divides `n`. */
export function dividing(n: number, most: number): number {
  let divisor = Math.min(n, most);
  while (n % divisor !== 0) divisor--;
  return divisor;
}
