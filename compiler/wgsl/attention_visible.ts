/**
 * Which columns of a tile a row sees, in the subgroup templates: every lane owns a few columns, and one number a column
 * says how far it lies behind the tile's first row.
 *
 * @module
 */
import type { LaneTiles } from "./attention_lanes.ts";
import type { Roles } from "./attention_parts.ts";
import { plus } from "./matmul_fragment.ts";

/** The columns that a lane owns of a tile. */
export interface OwnColumns {
  /** Their indices, inside the operand. */
  readonly clamped: readonly string[];
  /** How a row finds out which it sees; none where it sees them all. */
  readonly test?: { readonly ahead: string; readonly sees: Roles["sees"] };
}

/** Far beyond any row of a tile. */
const NEVER = 2 ** 30;

/** Emits the columns of a lane for the tile that begins at `start`. */
export function ownColumns(tiles: LaneTiles, roles: Roles): OwnColumns {
  const { w, perLane, columns } = tiles;
  const { sees } = roles;
  const indices = Array.from(
    { length: perLane },
    (_, i) => w.let(`start + ${plus(perLane === 1 ? "lane" : `lane * ${perLane}u`, i)}`, "column"),
  );
  // Tiles that start at a row's own index reach past the end however well they divide the columns.
  const exact = roles.columns % columns === 0 && (sees !== "from" || tiles.rows % columns === 0);
  const clamped = exact ? indices : indices.map((at) => w.let(`min(${at}, ${roles.columns - 1}u)`, "column"));
  if (sees === "all" && exact) return { clamped };
  const ahead = indices.map((at) => {
    const distance = sees === "all" ? "0" : `i32(${at}) - i32(rowStart)`;
    if (exact) return distance;
    return `select(${sees === "from" ? -NEVER : NEVER}, ${distance}, ${at} < ${roles.columns}u)`;
  });
  return { clamped, test: { ahead: w.let(tiles.join(ahead), "ahead"), sees } };
}

/** `value` where row `row` of the tile sees a column, and `hidden` elsewhere. */
export function visible(
  tiles: LaneTiles,
  own: OwnColumns,
  row: number,
  value: string,
  hidden: string,
): string {
  if (!own.test) return value;
  const all = (text: string) => tiles.join(Array(tiles.perLane).fill(text));
  const compare = own.test.sees === "from" ? ">=" : "<=";
  return `select(${all(hidden)}, ${value}, ${own.test.ahead} ${compare} ${all(`${row}`)})`;
}
