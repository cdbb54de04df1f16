/**
 * What all attention templates share: how operands play their parts in a kernel, the numbering of row tiles, the
 * columns that a tile of rows sees, and loads that end with the channels.
 *
 * Scores are kept as powers of two (`exp2` is what processors have), so the logarithmic sums are scaled on the way in
 * and out.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { AttentionHooks, AttentionKind, AttentionOperand, AttentionShape } from "./attention_tile.ts";
import { foldGrid } from "./kernel_text.ts";
import { plus } from "./matmul_fragment.ts";
import type { Writer } from "./writer.ts";

/** What a masked score is: WGSL has no infinite constants. */
export const MASKED = "-1e30";

/** log2(e) and ln(2) as WGSL. */
export const LOG2_E = `${Math.LOG2E}f`;
export const LN_2 = `${Math.LN2}f`;

/** A number as a WGSL `f32` literal. */
export function f32Literal(value: number): string {
  return `${Math.fround(value)}f`;
}

/** Groups of four channels. */
export function quadsOf(shape: AttentionShape): number {
  return Math.ceil(shape.width / 4);
}

/** The operands' parts in a kernel: rows stay with a tile, columns pass by. */
export interface Roles {
  readonly rows: number;
  readonly columns: number;
  /** Scores are products of `scoreRow` and `scoreColumn`; of dP, of `gradRow` and `gradColumn`. */
  readonly scoreRow: AttentionOperand;
  readonly scoreColumn: AttentionOperand;
  readonly gradRow: AttentionOperand;
  readonly gradColumn: AttentionOperand;
  /** Whether a row sees the columns up to its own index, from it on, or all of them. */
  readonly sees: "upTo" | "from" | "all";
}

/** The parts of a kind of kernel. */
export function rolesOf(kind: AttentionKind, shape: AttentionShape): Roles {
  const { queries, keys, causal } = shape;
  return kind === "gradKV"
    ? {
      rows: keys,
      columns: queries,
      scoreRow: "k",
      scoreColumn: "q",
      gradRow: "v",
      gradColumn: "g",
      sees: causal ? "from" : "all",
    }
    : {
      rows: queries,
      columns: keys,
      scoreRow: "q",
      scoreColumn: "k",
      gradRow: "g",
      gradColumn: "v",
      sees: causal ? "upTo" : "all",
    };
}

/**
 * Emits `batch` and `rowStart`, the first row of the tile, for one workgroup a tile of `tileRows`. The tiles that see
 * most columns come first, so that the last workgroups to finish are short.
 */
export function emitRowTile(
  w: Writer,
  shape: AttentionShape,
  hooks: AttentionHooks,
  roles: Roles,
  tileRows: number,
  target: Capabilities,
): [number, number, number] {
  const tiles = Math.ceil(roles.rows / tileRows);
  const count = shape.batch * tiles;
  const grid = foldGrid(w, count, target, "tileIndex");
  if (grid[0] * grid[1] !== count) w.line(`if (tileIndex >= ${count}u) { return; }`);
  w.line(`let batch = tileIndex / ${tiles}u;`);
  const inBatch = `tileIndex % ${tiles}u`;
  w.line(
    `let rowStart = ${roles.sees === "upTo" ? `(${tiles - 1}u - ${inBatch})` : inBatch} * ${tileRows}u;`,
  );
  hooks.begin?.(w, "batch");
  return grid;
}

/**
 * The columns that a tile of rows sees, in steps of `tileColumns`: WGSL bounds for `rowStart`, and the most steps that
 * any tile makes. Steps from a row's own index on start at `rowStart`, so that no step lies wholly off the diagonal.
 */
export function columnRange(
  roles: Roles,
  tileRows: number,
  tileColumns: number,
): { readonly first: string; readonly end: string; readonly steps: number } {
  const { rows, columns, sees } = roles;
  const last = Math.min(columns, Math.ceil(rows / tileRows) * tileRows);
  return {
    first: sees === "from" ? "rowStart" : "0u",
    end: sees === "upTo" ? `min(rowStart + ${tileRows}u, ${columns}u)` : `${columns}u`,
    steps: Math.ceil((sees === "upTo" ? last : columns) / tileColumns),
  };
}

/** A row index that stays inside `extent`; `expression` itself when tiles of `tile` from 0 on fit exactly. */
export function clampRow(expression: string, extent: number, tile: number): string {
  return extent % tile === 0 ? expression : `min(${expression}, ${extent - 1}u)`;
}

/** Emits a load of four channels of which those past `width` are zero. */
export function loadQuad(
  w: Writer,
  shape: AttentionShape,
  hooks: AttentionHooks,
  operand: AttentionOperand,
  row: string,
  col: string,
): string {
  const value = hooks.load(w, operand, { batch: "batch", row, col });
  if (shape.width % 4 === 0) return value;
  const name = w.let(value, operand);
  const inside = [0, 1, 2, 3].map((i) => `${plus(col, i)} < ${shape.width}u`);
  return `select(vec4<f32>(), ${name}, vec4<bool>(${inside.join(", ")}))`;
}
