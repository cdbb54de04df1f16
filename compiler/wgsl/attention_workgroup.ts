/**
 * The statements of attention on GPUs: a workgroup keeps a tile of rows in its memory and stages the columns' tiles one
 * after another. An invocation scores `rows` rows with four columns; the weights go through workgroup memory, and the
 * same invocation sums the same rows of the result, over the channels that its place along the columns gives it.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { columnRange, emitRowTile, quadsOf, type Roles, rolesOf } from "./attention_parts.ts";
import type { WorkgroupAttention } from "./attention_schedule.ts";
import { PER_INVOCATION, StagedRow, StagedTile } from "./attention_stage.ts";
import type {
  AttentionHooks,
  AttentionKernel,
  AttentionKind,
  AttentionOperand,
  AttentionResult,
  AttentionShape,
} from "./attention_tile.ts";
import { plus } from "./matmul_fragment.ts";
import { Writer } from "./writer.ts";

const COMPONENTS = ["x", "y", "z", "w"] as const;

/** One kernel of a workgroup: its shape, schedule and hooks, and what follows from them. */
export class GroupTiles {
  readonly w = new Writer();
  readonly roles: Roles;
  readonly row: StagedRow;
  /** Rows and columns of the workgroup's tile. */
  readonly tileRows: number;
  readonly tileColumns: number;
  readonly invocations: number;
  readonly eachRow: readonly number[];
  /** Quads of channels that an invocation owns of a result. */
  readonly eachQuad: readonly number[];
  readonly #declarations: string[] = [];
  #bytes = 0;
  /** Iterations before and after, and inside, the loop over columns. */
  #outer = 0;
  #inner = 0;
  #inLoop = false;

  constructor(
    kind: AttentionKind,
    readonly shape: AttentionShape,
    readonly schedule: WorkgroupAttention,
    readonly hooks: AttentionHooks,
  ) {
    const { rows, groupRows, groupCols } = schedule;
    this.roles = rolesOf(kind, shape);
    this.row = new StagedRow(shape);
    this.tileRows = rows * groupRows;
    this.tileColumns = PER_INVOCATION * groupCols;
    this.invocations = groupRows * groupCols;
    this.eachRow = Array.from({ length: rows }, (_, r) => r);
    this.eachQuad = Array.from({ length: Math.ceil(quadsOf(shape) / groupCols) }, (_, i) => i);
    this.#declarations.push(this.row.declaration());
  }

  /** A tile of rows or of columns of an operand. */
  stage(name: string, of: "rows" | "columns"): StagedTile {
    const tile = of === "rows"
      ? new StagedTile(name, this.row, this.tileRows)
      : new StagedTile(name, this.row, this.tileColumns, this.schedule.groupCols);
    this.#declarations.push(tile.declaration());
    this.#bytes += tile.bytes;
    return tile;
  }

  /** A tile of weights: for each row, a vec4 of columns for each invocation along the columns. */
  weights(name: string): string {
    const length = this.schedule.groupCols + 1 - this.schedule.groupCols % 2;
    this.#declarations.push(
      `var<workgroup> ${name}: array<array<vec4<f32>, ${length}>, ${this.tileRows}>;\n`,
    );
    this.#bytes += 16 * length * this.tileRows;
    return name;
  }

  /** One number for each row of the tile. */
  rowValues(name: string): string {
    this.#declarations.push(`var<workgroup> ${name}: array<f32, ${this.tileRows}>;\n`);
    this.#bytes += 4 * this.tileRows;
    return name;
  }

  /** Emits the places of the workgroup and of the invocation. */
  begin(target: Capabilities): readonly [number, number, number] {
    const { w, shape, hooks, roles, schedule, eachRow, eachQuad, row } = this;
    const { rows, groupRows, groupCols } = schedule;
    w.line(`// Tile of the workgroup: ${this.tileRows} rows, ${this.tileColumns} columns at a time, staged;`);
    w.line(`// of an invocation: ${rows} x ${PER_INVOCATION}.`);
    const workgroups = emitRowTile(w, shape, hooks, roles, this.tileRows, target);
    w.line(`let localRow = localIndex / ${groupCols}u;`);
    w.line(`let localCol = localIndex % ${groupCols}u;`);
    for (const r of eachRow) w.line(`let row_${r} = ${plus("localRow", r * groupRows)};`);
    for (const i of eachQuad) {
      const quad = plus("localCol", i * groupCols);
      const exact = row.quads % groupCols === 0;
      w.line(`let quad_${i} = ${exact ? quad : `min(${quad}, ${row.quads - 1}u)`};`);
      w.line(`let quadStep_${i} = quad_${i} / ${row.step}u;`);
      w.line(`let quadPart_${i} = quad_${i} % ${row.step}u;`);
    }
    return workgroups;
  }

  /** Emits the loop over the columns' tiles; `body` starts when nobody reads the last tile any more. */
  overColumns(body: () => void): void {
    const { w, roles, tileRows, tileColumns } = this;
    const range = columnRange(roles, tileRows, tileColumns);
    w.block(`for (var start = ${range.first}; start < ${range.end}; start += ${tileColumns}u)`, () => {
      this.#inLoop = true;
      body();
      this.#inLoop = false;
      w.line("workgroupBarrier();");
    });
    this.#outer += range.steps * (1 + this.#inner);
  }

  #count(iterations: number): void {
    if (this.#inLoop) this.#inner += iterations;
    else this.#outer += iterations;
  }

  /** Emits the copy of an operand's rows of the tile, or of its columns of the step. */
  fill(tile: StagedTile, operand: AttentionOperand, of: "rows" | "columns", factor = ""): void {
    const { shape, hooks, roles, invocations, tileColumns } = this;
    // Steps that start at a row's own index need not start at multiples of their size.
    const aligned = of === "rows" || roles.sees !== "from" || this.tileRows % tileColumns === 0;
    this.#count(tile.fill(this.w, {
      shape,
      hooks,
      operand,
      start: of === "rows" ? "rowStart" : "start",
      extent: of === "rows" ? roles.rows : roles.columns,
      aligned,
      factor,
      invocations,
    }));
  }

  /** Emits `<name>_<row>`: the seeds plus the products of an invocation's rows with its columns. */
  score(name: string, rows: StagedTile, columns: StagedTile, seeds: readonly string[]): void {
    const { w, row, eachRow } = this;
    for (const r of eachRow) w.line(`var ${name}_${r} = ${seeds[r]};`);
    const step = (k: string) => {
      for (let quad = 0; quad < row.step; quad++) {
        const parts = Array.from(
          { length: PER_INVOCATION },
          (_, i) => w.let(columns.atColumn(i, "localCol", k, `${quad}`), "column"),
        );
        const across = COMPONENTS.map((x) =>
          w.let(`vec4(${parts.map((part) => `${part}.${x}`).join(", ")})`, "x")
        );
        for (const r of eachRow) {
          const own = w.let(rows.at(`row_${r}`, k, `${quad}`), "own");
          COMPONENTS.forEach((x, i) => {
            w.line(`${name}_${r} = fma(vec4(${own}.${x}), ${across[i]}, ${name}_${r});`);
          });
        }
      }
    };
    const steps = row.quads / row.step;
    if (steps === 1) return w.block("", () => step("0"));
    w.block(`for (var k = 0u; k < ${steps}u; k++)`, () => step("k"));
    this.#count(steps);
  }

  /** Index of an invocation's `i`-th column in the step. */
  column(i: number): string {
    return plus("start + localCol", i * this.schedule.groupCols);
  }

  /** Whether some column of the step is hidden from some row: a uniform condition, or nothing if none ever is. */
  partial(): string | undefined {
    const { roles, tileColumns, tileRows } = this;
    const conditions: string[] = [];
    if (roles.sees === "upTo") conditions.push(`start + ${tileColumns - 1}u > rowStart`);
    if (roles.sees === "from") conditions.push(`start < rowStart + ${tileRows - 1}u`);
    const aligned = roles.sees !== "from" || tileRows % tileColumns === 0;
    if (!aligned || roles.columns % tileColumns !== 0) {
      conditions.push(`start + ${tileColumns}u > ${roles.columns}u`);
    }
    return conditions.length === 0 ? undefined : conditions.join(" || ");
  }

  /** Declares an invocation's part of a result. */
  declare(result: AttentionResult): void {
    for (const r of this.eachRow) {
      for (const i of this.eachQuad) this.w.line(`var ${result}${i}_${r} = vec4<f32>();`);
    }
  }

  /** Emits the products of the rows' weights with the columns of the step, into a result. */
  accumulate(result: AttentionResult, weights: string, columns: StagedTile): void {
    const { w, eachRow, eachQuad } = this;
    const { groupCols } = this.schedule;
    w.block(`for (var t = 0u; t < ${groupCols}u; t++)`, () => {
      const own = eachRow.map((r) => w.let(`${weights}[row_${r}][t]`, "weight"));
      for (const i of eachQuad) {
        COMPONENTS.forEach((x, column) => {
          const value = w.let(columns.atColumn(column, "t", `quadStep_${i}`, `quadPart_${i}`), "value");
          for (const r of eachRow) {
            w.line(`${result}${i}_${r} = fma(vec4(${own[r]}.${x}), ${value}, ${result}${i}_${r});`);
          }
        });
      }
    });
    this.#count(groupCols);
  }

  /** Emits the stores of a result, each row times or over its factor. */
  store(result: AttentionResult, factorOf: (row: number) => string): void {
    const { w, roles, tileRows, eachRow, eachQuad, schedule, row, hooks } = this;
    for (const r of eachRow) {
      const at = w.let(`rowStart + row_${r}`, "row");
      const rowGuard = roles.rows % tileRows === 0 ? "" : `if (${at} < ${roles.rows}u)`;
      w.block(rowGuard, () => {
        for (const i of eachQuad) {
          const last = (i + 1) * schedule.groupCols > row.quads;
          const guard = last ? `if (${plus("localCol", i * schedule.groupCols)} < ${row.quads}u)` : "";
          w.block(guard, () => {
            const col = `quad_${i} * 4u`;
            const factor = factorOf(r);
            const value = `${result}${i}_${r}${factor === "" ? "" : ` ${factor}`}`;
            hooks.store(w, result, { batch: "batch", row: at, col }, value);
          });
        }
      });
    }
  }

  /** The kernel, once all statements are written. */
  finish(workgroups: readonly [number, number, number]): AttentionKernel {
    return {
      declarations: this.#declarations.join(""),
      body: this.w.toString(),
      workgroupSize: [this.invocations, 1, 1],
      workgroups,
      loopIterations: this.#outer,
      workgroupBytes: this.#bytes,
    };
  }
}
