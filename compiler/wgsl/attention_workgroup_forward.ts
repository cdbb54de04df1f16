/**
 * Attention's forward pass on GPUs. Between the scores and the sums of values, each row of the tile belongs to one
 * invocation, which updates the row's maximum and sum: four barriers a step, none inside divergent control flow.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { f32Literal, LN_2, MASKED } from "./attention_parts.ts";
import type { WorkgroupAttention } from "./attention_schedule.ts";
import { PER_INVOCATION } from "./attention_stage.ts";
import type { AttentionHooks, AttentionKernel, AttentionShape } from "./attention_tile.ts";
import { GroupTiles } from "./attention_workgroup.ts";
import { plus } from "./matmul_fragment.ts";

/** Emits o, the logarithmic sums of the rows, or both. */
export function emitWorkgroupForward(
  shape: AttentionShape,
  schedule: WorkgroupAttention,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly o: boolean; readonly lse: boolean },
): AttentionKernel {
  const tiles = new GroupTiles("forward", shape, schedule, hooks);
  const { w, roles, eachRow, eachQuad, tileRows, invocations } = tiles;
  const queries = tiles.stage("queries", "rows");
  // Keys and, once they are scored, the values of the same step.
  const columns = tiles.stage("columns", "columns");
  const weights = tiles.weights("weights");
  const shrinks = tiles.rowValues("shrinks");
  const workgroups = tiles.begin(target);
  tiles.fill(queries, "q", "rows", ` * ${f32Literal(shape.scale * Math.LOG2E)}`);
  const owned = Array.from({ length: Math.ceil(tileRows / invocations) }, (_, i) => i);
  for (const i of owned) {
    w.line(`let owned_${i} = ${plus("localIndex", i * invocations)};`);
    w.line(`var top_${i} = ${MASKED};`);
    w.line(`var sum_${i} = 0.0;`);
  }
  const byOwner = (body: (i: number) => void) => {
    for (const i of owned) {
      const all = (i + 1) * invocations <= tileRows;
      w.block(all ? "" : `if (owned_${i} < ${tileRows}u)`, () => body(i));
    }
  };
  if (results.o) tiles.declare("o");
  tiles.overColumns(() => {
    tiles.fill(columns, "k", "columns");
    w.line("workgroupBarrier();");
    tiles.score("s", queries, columns, eachRow.map(() => "vec4<f32>()"));
    for (const r of eachRow) w.line(`${weights}[row_${r}][localCol] = s_${r};`);
    w.line("workgroupBarrier();");
    if (results.o) tiles.fill(columns, "v", "columns");
    byOwner((i) => updateRow(tiles, i, results.o ? shrinks : undefined));
    if (!results.o) return;
    w.line("workgroupBarrier();");
    for (const r of eachRow) {
      const shrink = w.let(`${shrinks}[row_${r}]`, "shrink");
      for (const quad of eachQuad) w.line(`o${quad}_${r} *= ${shrink};`);
    }
    tiles.accumulate("o", weights, columns);
  });
  byOwner((i) => {
    if (results.lse) {
      const row = w.let(`rowStart + owned_${i}`, "row");
      w.block(roles.rows % tileRows === 0 ? "" : `if (${row} < ${roles.rows}u)`, () => {
        hooks.storeRow(w, "lse", { batch: "batch", row }, `(top_${i} + log2(sum_${i})) * ${LN_2}`);
      });
    }
    if (results.o) w.line(`${shrinks}[owned_${i}] = 1.0 / sum_${i};`);
  });
  if (results.o) {
    w.line("workgroupBarrier();");
    for (const r of eachRow) w.line(`let share_${r} = ${shrinks}[row_${r}];`);
    tiles.store("o", (r) => `* share_${r}`);
  }
  return tiles.finish(workgroups);
}

/** Emits the owner's update of a row: scores to weights, its maximum, sum and, if asked for, what to shrink o by. */
function updateRow(tiles: GroupTiles, i: number, shrinks: string | undefined): void {
  const { w, roles, schedule } = tiles;
  const { groupCols } = schedule;
  const each = Array.from({ length: groupCols }, (_, t) => t);
  for (const t of each) w.line(`var e_${t} = weights[owned_${i}][${t}];`);
  const partial = tiles.partial();
  if (partial !== undefined) {
    w.block(`if (${partial})`, () => {
      const end = roles.sees === "upTo"
        ? `min(rowStart + owned_${i} + 1u, ${roles.columns}u)`
        : `${roles.columns}u`;
      const left = w.let(`${end} - min(start, ${end})`, "left");
      for (const t of each) {
        const offsets = Array.from({ length: PER_INVOCATION }, (_, c) => `${t + c * groupCols}u`);
        w.line(`e_${t} = select(vec4(${MASKED}), e_${t}, vec4(${offsets.join(", ")}) < vec4(${left}));`);
      }
    });
  }
  w.line(`var most = ${each.map((t) => `e_${t}`).reduce((a, b) => `max(${a}, ${b})`)};`);
  w.line(`let top = max(top_${i}, max(max(most.x, most.y), max(most.z, most.w)));`);
  w.line(`let shrink = exp2(top_${i} - top);`);
  for (const t of each) w.line(`e_${t} = exp2(e_${t} - top);`);
  w.line(`most = ${each.map((t) => `e_${t}`).join(" + ")};`);
  w.line(`sum_${i} = sum_${i} * shrink + (most.x + most.y + most.z + most.w);`);
  w.line(`top_${i} = top;`);
  if (shrinks === undefined) return;
  for (const t of each) w.line(`weights[owned_${i}][${t}] = e_${t};`);
  w.line(`${shrinks}[owned_${i}] = shrink;`);
}
