/**
 * Attention's gradients on software adapters, one template for both: rows are queries for dq, keys for dk and dv. Scores
 * and their gradients are computed anew, tile by tile, from the rows' logarithmic sums (FlashAttention's backward).
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LaneTiles } from "./attention_lanes.ts";
import { columnRange, emitRowTile, f32Literal, type Held, LOG2_E, rolesOf } from "./attention_parts.ts";
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
  const workgroups = emitRowTile(w, shape, roles, rows, target);
  const spread = tiles.spreadRows();
  const scores: Held | undefined = results.dq || results.dk
    ? { result: results.dq ? "dq" : "dk", name: "scores", factor: shape.scale }
    : undefined;
  const values: Held | undefined = results.dv ? { result: "dv", name: "values", factor: 1 } : undefined;
  tiles.emitChannel();
  for (const held of [scores, values]) if (held) tiles.declare(held.name);

  const stat = (operand: "lse" | "delta", at: string): string => {
    const value = hooks.loadRow(w, operand, { batch: "batch", row: at });
    return w.let(operand === "lse" ? `${value} * ${LOG2_E}` : value, operand);
  };
  const rowStats = results.dq
    ? { lse: spread.map((at) => stat("lse", at)), delta: spread.map((at) => stat("delta", at)) }
    : undefined;
  const ofRow = (registers: readonly string[], r: number) =>
    w.let(`subgroupShuffle(${registers[Math.floor(r / lanes)]}, ${r % lanes}u)`, "stat");

  const range = columnRange(roles, rows, columns);
  let inner = 0;
  w.block(`for (var start = ${range.first}; start < ${range.end}; start += ${columns}u)`, () => {
    const own = ownColumns(tiles, roles);
    const columnStats = rowStats ? undefined : {
      lse: w.let(tiles.join(own.clamped.map((at) => stat("lse", at))), "lse"),
      delta: scores ? w.let(tiles.join(own.clamped.map((at) => stat("delta", at))), "delta") : "",
    };
    inner += tiles.score(
      "s",
      { operand: roles.scoreRow, spread },
      { operand: roles.scoreColumn, owned: own.clamped },
    );
    const factor = f32Literal(shape.scale * Math.LOG2E);
    for (const r of eachRow) {
      const lse = rowStats ? ofRow(rowStats.lse, r) : columnStats!.lse;
      const p = w.let(`exp2(s_${r} * ${factor} - ${lse})`, "p");
      w.line(`let p_${r} = ${visible(tiles, own, r, p, "0.0")};`);
    }
    if (values) inner += tiles.accumulate("values", "p", roles.gradColumn, "start", range.end);
    if (!scores) return;
    // A scope of its own lets the second product use the names of the first.
    w.block("", () => {
      inner += tiles.score(
        "d",
        { operand: roles.gradRow, spread },
        { operand: roles.gradColumn, owned: own.clamped },
      );
      for (const r of eachRow) {
        const delta = rowStats ? ofRow(rowStats.delta, r) : columnStats!.delta;
        w.line(`let ds_${r} = p_${r} * (d_${r} - ${delta});`);
      }
      inner += tiles.accumulate("scores", "ds", roles.scoreColumn, "start", range.end);
    });
  });
  let stores = 0;
  for (const held of [scores, values]) {
    if (!held) continue;
    tiles.joinGroups(held.name);
    stores += tiles.store(held);
  }
  return {
    declarations: "",
    body: w.toString(),
    workgroupSize: [lanes, 1, 1],
    workgroups,
    loopIterations: range.steps * (1 + inner) + stores,
    workgroupBytes: 0,
  };
}
