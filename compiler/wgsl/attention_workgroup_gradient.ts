/**
 * Attention's gradients on GPUs, one template for both: rows are queries for dq, keys for dk and dv. An invocation turns
 * its own scores into weights, for the rows' logarithmic sums are known: three barriers a step.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { f32Literal, LOG2_E } from "./attention_parts.ts";
import type { WorkgroupAttention } from "./attention_schedule.ts";
import { PER_INVOCATION } from "./attention_stage.ts";
import type { AttentionHooks, AttentionKernel, AttentionResult, AttentionShape } from "./attention_tile.ts";
import { GroupTiles } from "./attention_workgroup.ts";

/** Emits dq, or those of dk and dv that are asked for. */
export function emitWorkgroupGradient(
  shape: AttentionShape,
  schedule: WorkgroupAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly dq: boolean; readonly dk: boolean; readonly dv: boolean },
): AttentionKernel {
  const tiles = new GroupTiles(results.dq ? "gradQ" : "gradKV", shape, schedule, hooks);
  const { w, roles, eachRow } = tiles;
  const scores: AttentionResult | undefined = results.dq ? "dq" : results.dk ? "dk" : undefined;
  const scoreRows = tiles.stage("scoreRows", "rows");
  const scoreColumns = tiles.stage("scoreColumns", "columns");
  const gradRows = scores && tiles.stage("gradRows", "rows");
  const gradColumns = tiles.stage("gradColumns", "columns");
  const changes = scores && tiles.weights("changes");
  const weights = results.dv ? tiles.weights("weights") : undefined;
  const workgroups = tiles.begin(target);
  tiles.fill(scoreRows, roles.scoreRow, "rows", ` * ${f32Literal(shape.scale * Math.LOG2E)}`);
  if (gradRows) tiles.fill(gradRows, roles.gradRow, "rows");

  // Logarithmic sums and deltas enter as what the products are added to.
  const seed = (operand: "lse" | "delta", row: string): string => {
    const value = hooks.loadRow(w, operand, { batch: "batch", row });
    return w.let(operand === "lse" ? `${value} * -${LOG2_E}` : `-${value}`, operand);
  };
  const ofRows = (operand: "lse" | "delta") =>
    eachRow.map((r) => `vec4(${seed(operand, w.let(`min(rowStart + row_${r}, ${roles.rows - 1}u)`, "at"))})`);
  const rowSeeds = results.dq ? { lse: ofRows("lse"), delta: ofRows("delta") } : undefined;
  const ofColumns = (operand: "lse" | "delta"): string[] => {
    const parts = Array.from(
      { length: PER_INVOCATION },
      (_, i) => seed(operand, w.let(`min(${tiles.column(i)}, ${roles.columns - 1}u)`, "at")),
    );
    const value = w.let(`vec4(${parts.join(", ")})`, "seed");
    return eachRow.map(() => value);
  };

  if (scores) tiles.declare(scores);
  if (results.dv) tiles.declare("dv");
  tiles.overColumns(() => {
    tiles.fill(scoreColumns, roles.scoreColumn, "columns");
    tiles.fill(gradColumns, roles.gradColumn, "columns");
    const lse = rowSeeds?.lse ?? ofColumns("lse");
    const delta = scores ? rowSeeds?.delta ?? ofColumns("delta") : [];
    w.line("workgroupBarrier();");
    tiles.score("p", scoreRows, scoreColumns, lse);
    for (const r of eachRow) w.line(`p_${r} = exp2(p_${r});`);
    const partial = tiles.partial();
    if (partial !== undefined) w.block(`if (${partial})`, () => hide(tiles));
    if (scores && gradRows) {
      tiles.score("ds", gradRows, gradColumns, delta);
      for (const r of eachRow) w.line(`${changes}[row_${r}][localCol] = p_${r} * ds_${r};`);
    }
    if (weights) { for (const r of eachRow) w.line(`${weights}[row_${r}][localCol] = p_${r};`); }
    w.line("workgroupBarrier();");
    if (scores && changes) tiles.accumulate(scores, changes, scoreColumns);
    if (weights) tiles.accumulate("dv", weights, gradColumns);
  });
  if (scores) tiles.store(scores, () => `* ${f32Literal(shape.scale)}`);
  if (results.dv) tiles.store("dv", () => "");
  return tiles.finish(workgroups);
}

/** Emits zero for the weights of hidden columns. */
function hide(tiles: GroupTiles): void {
  const { w, roles, eachRow } = tiles;
  const columns = Array.from({ length: PER_INVOCATION }, (_, i) => w.let(tiles.column(i), "column"));
  const inside = columns.map((column) => `${column} < ${roles.columns}u`);
  w.line(`let inside = vec4<bool>(${inside.join(", ")});`);
  if (roles.sees !== "all") w.line(`let column = vec4<u32>(${columns.join(", ")});`);
  for (const r of eachRow) {
    const row = `vec4(rowStart + row_${r})`;
    const order = roles.sees === "upTo" ? `column <= ${row}` : `${row} <= column`;
    const seen = roles.sees === "all" ? "inside" : `inside & (${order})`;
    w.line(`p_${r} = select(vec4<f32>(), p_${r}, ${seen});`);
  }
}
