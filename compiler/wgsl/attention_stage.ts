/**
 * Tiles of operands in workgroup memory, as the attention of GPUs reads them: by rows, a few quads of channels at a
 * time. Rows have an odd number of vec4s, so that neighbouring invocations that read neighbouring rows meet different
 * banks; and arrays are nested so that the indices that change in a hot loop are constant in the innermost dimensions,
 * where no bounds check is left.
 *
 * @module
 */
import { clampRow, loadQuad, quadsOf } from "./attention_parts.ts";
import type { AttentionHooks, AttentionOperand, AttentionShape } from "./attention_tile.ts";
import { plus } from "./matmul_fragment.ts";
import type { Writer } from "./writer.ts";

/** Bytes of a `vec4<f32>`. */
const VEC4_BYTES = 16;
/** Copies in flight of one invocation: loads are issued before the first is stored. */
const COPIES = 8;
/** Columns that an invocation scores of a tile. */
export const PER_INVOCATION = 4;

/** How a shape's channels are laid out in a staged row. */
export class StagedRow {
  readonly quads: number;
  /** Quads of one step over the channels: read with constant offsets. */
  readonly step: number;
  /** vec4s of a row, padding included. */
  readonly length: number;

  constructor(shape: AttentionShape) {
    this.quads = quadsOf(shape);
    this.step = [4, 5, 3, 2].find((step) => this.quads % step === 0) ?? 1;
    this.length = this.quads + 1 - this.quads % 2;
  }

  /** The type, and its declaration. */
  get type(): string {
    return "StagedRow";
  }
  declaration(): string {
    const quads = `array<array<vec4<f32>, ${this.step}>, ${this.quads / this.step}>`;
    const padding = this.length > this.quads ? ", padding: vec4<f32>" : "";
    return `struct ${this.type} { quads: ${quads}${padding} }\n`;
  }

  get bytes(): number {
    return VEC4_BYTES * this.length;
  }
}

/** A tile of `rows` rows of one operand; those of columns are nested by the invocation that scores them. */
export class StagedTile {
  constructor(
    private readonly name: string,
    private readonly row: StagedRow,
    readonly rows: number,
    /** Invocations along the columns for a tile of columns. */
    private readonly groupCols?: number,
  ) {}

  get bytes(): number {
    return this.rows * this.row.bytes;
  }

  declaration(): string {
    const { row, rows, groupCols } = this;
    const type = groupCols === undefined
      ? `array<${row.type}, ${rows}>`
      : `array<array<${row.type}, ${groupCols}>, ${rows / groupCols}>`;
    return `var<workgroup> ${this.name}: ${type};\n`;
  }

  /** The `vec4<f32>` at a row, a step over the channels, and a quad of the step. */
  at(row: string, step: string, quad: string): string {
    return `${this.name}[${row}].quads[${step}][${quad}]`;
  }

  /** The `vec4<f32>` of column `i * groupCols + column`. */
  atColumn(i: number, column: string, step: string, quad: string): string {
    return `${this.name}[${i}][${column}].quads[${step}][${quad}]`;
  }

  /**
   * Emits the copy of the rows from `start` on by all `invocations` of the workgroup.
   *
   * @param extent Rows of the operand: those past it are copies of the last.
   * @param aligned Whether `start` is a multiple of the tile's rows.
   * @returns The loop's iterations.
   */
  fill(w: Writer, source: {
    readonly shape: AttentionShape;
    readonly hooks: AttentionHooks;
    readonly operand: AttentionOperand;
    readonly start: string;
    readonly extent: number;
    readonly aligned: boolean;
    readonly factor: string;
    readonly invocations: number;
  }): number {
    const { row, rows, groupCols } = this;
    const { shape, hooks, operand, invocations, factor } = source;
    const items = rows * row.quads;
    const each = Math.ceil(items / invocations);
    const copies = Math.min(each, COPIES);
    const whole = items % (copies * invocations) === 0;
    const copy = (first: string) => {
      const parts = Array.from({ length: copies }, (_, i) => {
        const unbounded = plus(first, i * invocations);
        // Copies past the end repeat the last one, which changes nothing.
        const item = w.let(whole ? unbounded : `min(${unbounded}, ${items - 1}u)`, "item");
        const [at, quad] = [w.let(`${item} / ${row.quads}u`, "at"), w.let(`${item} % ${row.quads}u`, "quad")];
        const from = clampRow(`${source.start} + ${at}`, source.extent, source.aligned ? rows : 1 << 30);
        const value = loadQuad(w, shape, hooks, operand, w.let(from, "from"), w.let(`${quad} * 4u`, "col"));
        return { at, quad, value: w.let(`${value}${factor}`, operand) };
      });
      for (const { at, quad, value } of parts) {
        const place = groupCols === undefined ? at : `${at} / ${groupCols}u][${at} % ${groupCols}u`;
        w.line(`${this.at(place, `${quad} / ${row.step}u`, `${quad} % ${row.step}u`)} = ${value};`);
      }
    };
    if (each <= copies) {
      w.block("", () => copy("localIndex"));
      return 0;
    }
    w.block(`for (var n = localIndex; n < ${items}u; n += ${copies * invocations}u)`, () => copy("n"));
    return Math.ceil(each / copies);
  }
}
