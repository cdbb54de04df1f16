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
import { columnRange, emitRowTile, LN_2, MASKED, rolesOf } from "./attention_parts.ts";
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
  const { rows, columns, perLane, eachRow } = tiles;
  w.line(`// Tile of a subgroup: ${rows} queries, ${columns} keys at a time, ${perLane} a lane.`);
  const workgroups = emitRowTile(w, shape, hooks, roles, rows, target);
  const spread = tiles.spreadRows();
  // Of each row, its maximum and sum so far: in the lane that stands for it.
  spread.forEach((_, i) => {
    w.line(`var top_${i} = ${MASKED};`);
    w.line(`var sum_${i} = 0.0;`);
  });
  if (results.o) {
    tiles.emitChannel();
    tiles.declare("o");
  }
  const max = (a: string, b: string) => `max(${a}, ${b})`;
  const add = (a: string, b: string) => `${a} + ${b}`;
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
    if (own.test) {
      for (const r of eachRow) w.line(`p_${r} = ${visible(tiles, own, r, `p_${r}`, MASKED)};`);
    }
    const most = tiles.reduceRows(eachRow.map((r) => w.let(tiles.across(`p_${r}`, max), "most")), max);
    const tops = most.map((value, i) => w.let(max(`top_${i}`, value), "top"));
    const shrinks = tops.map((top, i) => w.let(`exp2(top_${i} - ${top})`, "shrink"));
    for (const r of eachRow) w.line(`p_${r} -= ${tiles.vector}(${tiles.ofRow(tops, r)});`);
    inner += tiles.exponentials("p");
    const sums = tiles.reduceRows(eachRow.map((r) => w.let(tiles.across(`p_${r}`, add), "sum")), add);
    spread.forEach((_, i) => {
      w.line(`top_${i} = ${tops[i]};`);
      w.line(`sum_${i} = sum_${i} * ${shrinks[i]} + ${sums[i]};`);
    });
    if (!results.o) return;
    for (const r of eachRow) tiles.scaleRow("o", r, w.let(tiles.ofRow(shrinks, r), "less"));
    inner += tiles.accumulate("o", "p", "v", "start", range.end);
  });
  if (results.lse) {
    spread.forEach((_, i) =>
      tiles.byLane(i, (row) => {
        hooks.storeRow(w, "lse", { batch: "batch", row }, `(top_${i} + log2(sum_${i})) * ${LN_2}`);
      })
    );
  }
  let stores = 0;
  if (results.o) {
    const shares = spread.map((_, i) => w.let(`1.0 / sum_${i}`, "share"));
    for (const r of eachRow) tiles.scaleRow("o", r, w.let(tiles.ofRow(shares, r), "factor"));
    stores = tiles.store("o", "o", 1);
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
