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
import { clampRow, type Held, loadQuad, quadsOf } from "./attention_parts.ts";
import type { AttentionHooks, AttentionOperand, AttentionShape } from "./attention_tile.ts";
import { plus } from "./matmul_fragment.ts";
import { emitDepthLoop } from "./matmul_tile.ts";
import type { Writer } from "./writer.ts";

const COMPONENTS = ["x", "y", "z", "w"] as const;
/** Products that are added in one statement; see `multiplyAdd`. */
const TERMS = 4;
/** Stores in the body of a loop of stores; see `storeTileInLoop`. */
const STORES = 4;

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

  /** Emits a reduction over a row's columns of a tile or over lanes alone; every lane has the result. */
  reduce(value: string, combine: (a: string, b: string) => string): string {
    let result = value;
    for (let apart = this.lanes / 2; apart >= 1; apart /= 2) {
      result = this.w.let(combine(result, `subgroupShuffle(${result}, lane ^ ${apart}u)`), "all");
    }
    return result;
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
   * Emits `<name>_<row>`: products of a tile's rows of one operand with the lanes' columns of another, whose rows are
   * named by `owned`.
   *
   * @returns The loop's iterations.
   */
  score(
    name: string,
    row: { readonly operand: AttentionOperand; readonly spread: readonly string[] },
    column: { readonly operand: AttentionOperand; readonly owned: readonly string[] },
  ): number {
    const { w, shape, hooks, lanes } = this;
    for (const r of this.eachRow) w.line(`var ${name}_${r} = ${this.vector}();`);
    return emitDepthLoop(w, 4 * quadsOf(shape), this.schedule.channelStep, (k, channels) => {
      for (let c = 0; c < channels; c += 4) {
        const col = plus(k, c);
        const load = (operand: AttentionOperand, at: string) =>
          w.let(loadQuad(w, shape, hooks, operand, at, col), operand);
        const spread = row.spread.map((at) => load(row.operand, at));
        const owned = column.owned.map((at) => load(column.operand, at));
        const parts = COMPONENTS.map((x) => this.join(owned.map((value) => `${value}.${x}`)))
          .map((value) => this.perLane === 1 ? value : w.let(value, "columns"));
        for (const r of this.eachRow) {
          const one = w.let(`subgroupShuffle(${spread[Math.floor(r / lanes)]}, ${r % lanes}u)`, "one");
          const terms = COMPONENTS.map((x, i) => `${one}.${x} * ${parts[i]}`);
          w.line(`${name}_${r} += ${terms.join(" + ")};`);
        }
      }
    });
  }

  /** Declares the accumulators of a result. */
  declare(name: string): void {
    for (const r of this.eachRow) {
      for (let quad = 0; quad < this.quads; quad++) this.w.line(`var ${name}_${r}_${quad} = vec4<f32>();`);
    }
  }

  /** Emits a factor on the accumulators of a row. */
  scaleRow(name: string, row: number, factor: string): void {
    for (let quad = 0; quad < this.quads; quad++) this.w.line(`${name}_${row}_${quad} *= ${factor};`);
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
    for (const r of this.eachRow) w.line(`var turn_${r} = ${weights}_${r};`);
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
        const shared = this.eachRow.map((r) => this.#broadcast(`turn_${r}`, columns, own));
        for (let quad = 0; quad < this.quads; quad++) {
          for (const r of this.eachRow) {
            const terms = columns.map((_, i) => `${shared[r][i]} * ${values[i][quad]}`);
            w.line(`${name}_${r}_${quad} += ${terms.join(" + ")};`);
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
      for (const r of this.eachRow) w.line(`turn_${r} = subgroupShuffle(turn_${r}, ${next});`);
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

  /** Emits the sums over the groups of lanes that share an accumulator. */
  joinGroups(name: string): void {
    const { w, lanes, groupLanes } = this;
    for (let apart = groupLanes; apart < lanes; apart *= 2) {
      for (const r of this.eachRow) {
        w.line(`${name}_${r}_0 += subgroupShuffle(${name}_${r}_0, lane ^ ${apart}u);`);
      }
    }
  }

  /**
   * Emits the stores of a result as a loop that stores the first accumulators and moves the others up, so that a CPU
   * driver compiles few stores; see `storeTileInLoop` of the matmul.
   *
   * @returns The loop's iterations.
   */
  store(held: Held): number {
    const { w, quads, rows } = this;
    const all = this.eachRow.flatMap((r) =>
      Array.from({ length: quads }, (_, quad) => `${held.name}_${r}_${quad}`)
    );
    const looped = all.length > STORES && all.length % STORES === 0;
    const one = (value: string, n: string) => {
      const row = w.let(quads === 1 ? `rowStart + ${n}` : `rowStart + (${n}) / ${quads}u`, "row");
      const col = w.let(quads === 1 ? "channel" : `channel + (${n}) % ${quads}u * 4u`, "col");
      this.#guarded(row, col, () => {
        const result = held.factor === 1 ? value : `${value} * ${Math.fround(held.factor)}f`;
        this.hooks.store(w, held.result, { batch: "batch", row, col }, result);
      });
    };
    if (!looped) {
      all.forEach((value, n) => one(value, `${n}u`));
      return 0;
    }
    w.block(`for (var n = 0u; n < ${rows * quads}u; n += ${STORES}u)`, () => {
      all.slice(0, STORES).forEach((value, i) => one(value, plus("n", i)));
      for (let i = STORES; i < all.length; i++) w.line(`${all[i - STORES]} = ${all[i]};`);
    });
    return all.length / STORES;
  }

  #guarded(row: string, col: string, body: () => void): void {
    const { w, extents, rows, lanes, groupLanes, quads, shape } = this;
    const conditions: string[] = [];
    if (extents.rows % rows !== 0) conditions.push(`${row} < ${extents.rows}u`);
    if (groupLanes < lanes) conditions.push(`lane < ${groupLanes}u`);
    else if (4 * lanes * quads > shape.width) conditions.push(`${col} < ${shape.width}u`);
    if (conditions.length === 0) body();
    else w.block(`if (${conditions.join(" && ")})`, body);
  }
}
