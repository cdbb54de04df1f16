/**
 * Attention's gradients on software adapters, one template for both: rows are queries for dq, keys for dk and dv. Scores
 * and their gradients are computed anew, tile by tile, from the rows' logarithmic sums (FlashAttention's backward).
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LaneTiles } from "./attention_lanes.ts";
import { columnRange, emitRowTile, LOG2_E, MASKED, rolesOf } from "./attention_parts.ts";
import type { SubgroupAttention } from "./attention_schedule.ts";
import type { AttentionHooks, AttentionKernel, AttentionShape } from "./attention_tile.ts";
import { ownColumns, visible } from "./attention_visible.ts";
import { Writer } from "./writer.ts";

/** Emits dq, or those of dk and dv that are asked for. */
export function emitSubgroupGradient(
  shape: AttentionShape,
  schedule: SubgroupAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly dq: boolean; readonly dk: boolean; readonly dv: boolean },
): AttentionKernel {
  const w = new Writer();
  const roles = rolesOf(results.dq ? "gradQ" : "gradKV", shape);
  const tiles = new LaneTiles(w, shape, schedule, hooks, roles);
  const { rows, columns, eachRow, lanes } = tiles;
  w.line(`// Tile of a subgroup: ${rows} rows, ${columns} columns at a time, ${tiles.perLane} a lane.`);
  const workgroups = emitRowTile(w, shape, hooks, roles, rows, target);
  const spread = tiles.spreadRows();
  const withScores = results.dq || results.dk;
  tiles.emitChannel();
  if (withScores) tiles.declare("scores");
  if (results.dv) tiles.declare("values");

  // Logarithmic sums and deltas enter as what the products are added to.
  const seed = (operand: "lse" | "delta", at: string): string => {
    const value = hooks.loadRow(w, operand, { batch: "batch", row: at });
    return w.let(operand === "lse" ? `${value} * -${LOG2_E}` : `-${value}`, operand);
  };
  const seeds = (operand: "lse" | "delta", own: readonly string[]): (row: number) => string => {
    if (!results.dq) {
      const columns = w.let(tiles.join(own.map((at) => seed(operand, at))), "seed");
      return () => columns;
    }
    return (r) =>
      `${tiles.vector}(subgroupShuffle(${rowSeeds[operand][Math.floor(r / lanes)]}, ${r % lanes}u))`;
  };
  const ofRows = (operand: "lse" | "delta") => results.dq ? spread.map((at) => seed(operand, at)) : [];
  const rowSeeds = { lse: ofRows("lse"), delta: ofRows("delta") };

  const range = columnRange(roles, rows, columns);
  let inner = 0;
  w.block(`for (var start = ${range.first}; start < ${range.end}; start += ${columns}u)`, () => {
    const own = ownColumns(tiles, roles);
    inner += tiles.score("p", {
      row: roles.scoreRow,
      spread,
      column: roles.scoreColumn,
      owned: own.clamped,
      factor: shape.scale * Math.LOG2E,
      seed: seeds("lse", own.clamped),
    });
    if (own.test) {
      for (const r of eachRow) w.line(`p_${r} = ${visible(tiles, own, r, `p_${r}`, MASKED)};`);
    }
    inner += tiles.exponentials("p");
    if (withScores) {
      inner += tiles.score("ds", {
        row: roles.gradRow,
        spread,
        column: roles.gradColumn,
        owned: own.clamped,
        factor: 1,
        seed: seeds("delta", own.clamped),
      });
      for (const r of eachRow) w.line(`ds_${r} *= p_${r};`);
    }
    if (results.dv) inner += tiles.accumulate("values", "p", roles.gradColumn, "start", range.end);
    if (withScores) inner += tiles.accumulate("scores", "ds", roles.scoreColumn, "start", range.end);
  });
  let stores = 0;
  if (withScores) stores += tiles.store(results.dq ? "dq" : "dk", "scores", shape.scale);
  if (results.dv) stores += tiles.store("dv", "values", 1);
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [lanes, 1, 1],
    workgroups,
    loopIterations: range.steps * (1 + inner) + stores,
    workgroupBytes: 0,
  };
}
