/**
 * Attention's forward pass on software adapters: one subgroup a tile of query rows, no workgroup memory and no barrier.
 * Lanes own keys while scores are computed, and channels while the values are summed; between the two, each row's
 * running maximum and sum are updated (online softmax).
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { dividing, LaneTiles } from "./attention_lanes.ts";
import type { SubgroupAttention } from "./attention_schedule.ts";
import { columnRange, emitRowTile, LN_2, MASKED, rolesOf } from "./attention_parts.ts";
import type { AttentionHooks, AttentionKernel, AttentionShape } from "./attention_tile.ts";
import { ownColumns, visible } from "./attention_visible.ts";
import { Writer } from "./writer.ts";

/** Rows whose sums are updated in one iteration: each has two exponentials, which compile to much code. */
const ROWS_IN_TURN = 4;

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
  const { rows, columns, perLane, eachRow } = tiles;
  w.line(`// Tile of a subgroup: ${rows} queries, ${columns} keys at a time, ${perLane} a lane.`);
  const workgroups = emitRowTile(w, shape, hooks, roles, rows, target);
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
    inner += tiles.score("p", {
      row: "q",
      spread,
      column: "k",
      owned: own.clamped,
      factor: shape.scale * Math.LOG2E,
      seed: () => `${tiles.vector}()`,
    });
    if (results.o) { for (const r of eachRow) w.line(`var shrink_${r} = 0.0;`); }
    const turning = ["p", "top", "sum", ...(results.o ? ["shrink"] : [])];
    inner += tiles.inTurn(turning, dividing(rows, ROWS_IN_TURN), (r, row) => {
      const score = w.let(visible(tiles, own, row, `p_${r}`, MASKED), "score");
      const parts = Array.from({ length: perLane }, (_, i) => tiles.part(score, i));
      const most = w.let([`top_${r}`, ...parts].reduce((a, b) => `max(${a}, ${b})`), "most");
      const top = tiles.reduce(most, (a, b) => `max(${a}, ${b})`);
      const shrink = w.let(`exp2(top_${r} - ${top})`, "less");
      const p = w.let(`exp2(${score} - ${top})`, "weight");
      const added = Array.from({ length: perLane }, (_, i) => tiles.part(p, i)).join(" + ");
      const sum = w.let(`sum_${r} * ${shrink} + (${added})`, "sum");
      return { p, top, sum, ...(results.o ? { shrink } : {}) };
    });
    if (!results.o) return;
    for (const r of eachRow) tiles.scaleRow("o", r, `shrink_${r}`);
    inner += tiles.accumulate("o", "p", "v", "start", range.end);
  });
  const stores = tiles.store(results.o ? "o" : undefined, "o", ["top", "sum"], (r, row) => {
    const total = tiles.reduce(`sum_${r}`, (a, b) => `${a} + ${b}`);
    if (results.lse) {
      w.block("if (lane == 0u)", () => {
        hooks.storeRow(w, "lse", { batch: "batch", row }, `(top_${r} + log2(${total})) * ${LN_2}`);
      });
    }
    return results.o ? w.let(`1.0 / ${total}`, "share") : "";
  });
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [tiles.lanes, 1, 1],
    workgroups,
    loopIterations: range.steps * (1 + inner) + stores,
    workgroupBytes: 0,
  };
}
