/**
 * Attention's forward pass on software adapters: one subgroup a tile of query rows, no workgroup memory and no barrier.
 * Lanes own keys while scores are computed, and channels while the values are summed; between the two, each row's
 * running maximum and sum are updated (online softmax).
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LaneTiles } from "./attention_lanes.ts";
import type { SubgroupAttention } from "./attention_schedule.ts";
import { columnRange, emitRowTile, f32Literal, LN_2, MASKED, rolesOf } from "./attention_parts.ts";
import type { AttentionHooks, AttentionKernel, AttentionShape } from "./attention_tile.ts";
import { ownColumns, visible } from "./attention_visible.ts";
import { Writer } from "./writer.ts";

/** Emits o, the logarithmic sums of the rows, or both. */
export function emitSubgroupForward(
  shape: AttentionShape,
  schedule: SubgroupAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly o: boolean; readonly lse: boolean },
): AttentionKernel {
  const w = new Writer();
  const roles = rolesOf("forward", shape);
  const tiles = new LaneTiles(w, shape, schedule, hooks, roles);
  const { rows, columns, eachRow } = tiles;
  w.line(`// Tile of a subgroup: ${rows} queries, ${columns} keys at a time, ${tiles.perLane} a lane.`);
  const workgroups = emitRowTile(w, shape, roles, rows, target);
  const spread = tiles.spreadRows();
  for (const r of eachRow) {
    w.line(`var top_${r} = ${MASKED};`);
    w.line(`var sum_${r} = 0.0;`);
  }
  if (results.o) {
    tiles.emitChannel();
    tiles.declare("o");
  }
  const range = columnRange(roles, rows, columns);
  let inner = 0;
  w.block(`for (var start = ${range.first}; start < ${range.end}; start += ${columns}u)`, () => {
    const own = ownColumns(tiles, roles);
    inner += tiles.score("s", { operand: "q", spread }, { operand: "k", owned: own.clamped });
    const factor = f32Literal(shape.scale * Math.LOG2E);
    for (const r of eachRow) {
      const score = w.let(`s_${r} * ${factor}`, "score");
      w.line(`let e_${r} = ${visible(tiles, own, r, score, MASKED)};`);
    }
    for (const r of eachRow) {
      const parts = Array.from({ length: tiles.perLane }, (_, i) => tiles.part(`e_${r}`, i));
      const top = w.let([`top_${r}`, ...parts].reduce((a, b) => `max(${a}, ${b})`), "top");
      const all = tiles.reduce(top, (a, b) => `max(${a}, ${b})`);
      w.line(`let shrink_${r} = exp2(top_${r} - ${all});`);
      w.line(`top_${r} = ${all};`);
      w.line(`let p_${r} = exp2(e_${r} - ${all});`);
      const added = Array.from({ length: tiles.perLane }, (_, i) => tiles.part(`p_${r}`, i)).join(" + ");
      w.line(`sum_${r} = sum_${r} * shrink_${r} + (${added});`);
      if (results.o) tiles.scaleRow("o", r, `shrink_${r}`);
    }
    if (results.o) inner += tiles.accumulate("o", "p", "v", "start", range.end);
  });
  for (const r of eachRow) {
    const sum = tiles.reduce(`sum_${r}`, (a, b) => `${a} + ${b}`);
    w.line(`let total_${r} = ${sum};`);
    if (results.o) tiles.scaleRow("o", r, `(1.0 / total_${r})`);
  }
  if (results.lse) {
    spreadValues(tiles, (r) => `(top_${r} + log2(total_${r})) * ${LN_2}`, (row, value) => {
      hooks.storeRow(w, "lse", { batch: "batch", row }, value);
    });
  }
  let stores = 0;
  if (results.o) {
    tiles.joinGroups("o");
    stores = tiles.store({ result: "o", name: "o", factor: 1 });
  }
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [tiles.lanes, 1, 1],
    workgroups,
    loopIterations: range.steps * (1 + inner) + stores,
    workgroupBytes: 0,
  };
}

/** Emits, for each row that a lane stands for, the use of one value a row. */
function spreadValues(
  tiles: LaneTiles,
  valueOf: (row: number) => string,
  use: (row: string, value: string) => void,
): void {
  const { w, lanes, rows, extents } = tiles;
  for (let first = 0; first < rows; first += lanes) {
    const count = Math.min(lanes, rows - first);
    const value = w.fresh("spread");
    w.line(`var ${value} = ${valueOf(first)};`);
    for (let i = 1; i < count; i++) {
      w.line(`${value} = select(${value}, ${valueOf(first + i)}, lane == ${i}u);`);
    }
    const row = w.let(`rowStart + lane${first === 0 ? "" : ` + ${first}u`}`, "row");
    const conditions = [
      ...(count < lanes ? [`lane < ${count}u`] : []),
      ...(extents.rows % rows === 0 ? [] : [`${row} < ${extents.rows}u`]),
    ];
    if (conditions.length === 0) use(row, value);
    else w.block(`if (${conditions.join(" && ")})`, () => use(row, value));
  }
}
