/**
 * Which attention schedule a kernel gets on a target when nobody has measured it there, and which a tuner should try.
 *
 * The choices for software adapters were measured on lavapipe; those for GPUs follow from what fits into registers and
 * workgroup memory and have not been measured.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { quadsOf, rolesOf } from "./attention_parts.ts";
import {
  type AttentionSchedule,
  attentionScheduleName,
  type RegisterAttention,
  type SubgroupAttention,
  type WorkgroupAttention,
} from "./attention_schedule.ts";
import { PER_INVOCATION, StagedRow } from "./attention_stage.ts";
import type { AttentionKind, AttentionShape } from "./attention_tile.ts";

/** vec4s of one result that a lane or an invocation may keep. */
const MOST_HELD = { subgroup: 32, register: 32, workgroup: 16 } as const;
/** Floating-point operations, hidden ones included, from which a tile pays that takes half as long again to compile. */
const LARGE_FLOPS = 4e9;
/** Workgroups below which a smaller tile is preferred, so that all compute units have work. */
const FEW_WORKGROUPS = 96;

/** The schedule to use when nobody has measured. */
export function chooseAttentionSchedule(
  kind: AttentionKind,
  shape: AttentionShape,
  target: Capabilities,
): AttentionSchedule {
  if (!target.software) return workgroupSchedule(kind, shape, target);
  return target.subgroupSize > 0 ? subgroupSchedule(kind, shape, target) : registerSchedule(kind, shape);
}

/** Schedules that a tuner should measure for a kernel, the default first. All of them fit the target. */
export function attentionCandidates(
  kind: AttentionKind,
  shape: AttentionShape,
  target: Capabilities,
): AttentionSchedule[] {
  const candidates: AttentionSchedule[] = [chooseAttentionSchedule(kind, shape, target)];
  const lanes = target.subgroupSize;
  if (target.software && lanes > 0) {
    for (const rows of [8, 16, 32]) {
      for (const perLane of [1, 2, 4] as const) {
        candidates.push({ kind: "subgroup", lanes, rows, perLane, channelStep: 4, columnStep: 4 });
      }
    }
  }
  if (target.software) candidates.push(registerSchedule(kind, shape));
  else candidates.push(...GROUP_TILES.filter((tile) => fits(kind, shape, tile, target)));
  const names = candidates.map(attentionScheduleName);
  return candidates.filter((_, i) => names.indexOf(names[i]) === i);
}

/** Half of a tile's rows at most are idle. */
function filled(rows: number, tile: number): boolean {
  return tile < 2 * rows || tile <= 4;
}

/**
 * A tile of twice the lanes by 32 columns. More rows load less (loads take three quarters of the time) but compile
 * longer: with 16 lanes and 64 channels, 32 and 16 rows made 40 and 33 GFLOP/s and took 0.40 and 0.22 s to compile.
 */
function subgroupSchedule(
  kind: AttentionKind,
  shape: AttentionShape,
  target: Capabilities,
): SubgroupAttention {
  const lanes = target.subgroupSize;
  const roles = rolesOf(kind, shape);
  const quads = covering(Math.ceil(quadsOf(shape) / lanes), 1);
  let rows = Math.max(1, Math.min(2 * lanes, MOST_HELD.subgroup / quads));
  while (!filled(roles.rows, rows)) rows /= 2;
  const { batch, queries, keys, width } = shape;
  const large = kind === "forward" && 4 * batch * queries * keys * width >= LARGE_FLOPS;
  const columns = Math.min(large ? 64 : 32, covering(roles.columns, lanes));
  // Loads of a step take most of the text: wide heads, and kernels with two results, get fewer columns.
  const loads = kind === "gradKV" ? 4 : 8;
  const most = Math.min(columns / lanes, loads / quads);
  const perLane = ([4, 2] as const).find((perLane) => perLane <= most) ?? 1;
  const columnStep = Math.max(perLane, Math.min(4, Math.floor(loads / 2 / quads)));
  return { kind: "subgroup", lanes, rows, perLane, channelStep: 4, columnStep };
}

/** The smallest power of two from `low` on that covers `n`. */
function covering(n: number, low: number): number {
  let size = low;
  while (size < n) size *= 2;
  return size;
}

function registerSchedule(kind: AttentionKind, shape: AttentionShape): RegisterAttention {
  const results = kind === "gradKV" ? 2 : 1;
  let rows = 4;
  while (rows > 1 && rows * results * quadsOf(shape) > MOST_HELD.register) rows /= 2;
  return { kind: "register", rows, invocations: 16 };
}

/** Tiles of a workgroup as rows of an invocation and invocations along rows and columns, the largest first. */
const GROUP_TILES: readonly WorkgroupAttention[] = ([
  [8, 8, 8],
  [4, 16, 8],
  [4, 8, 8],
  [8, 4, 8],
  [8, 8, 4],
  [2, 16, 8],
  [2, 8, 8],
  [4, 8, 4],
  [8, 4, 4],
  [2, 8, 4],
  [1, 8, 4],
  [2, 4, 4],
  [1, 4, 4],
  [1, 4, 2],
  [1, 2, 2],
  [1, 4, 1],
  [1, 2, 1],
  [1, 1, 1],
] as const).map(([rows, groupRows, groupCols]) => ({ kind: "workgroup", rows, groupRows, groupCols }));

/** Bytes of workgroup memory that the GPU's templates need at most. */
function stagedBytes(kind: AttentionKind, shape: AttentionShape, schedule: WorkgroupAttention): number {
  const { rows, groupRows, groupCols } = schedule;
  const [tileRows, tileColumns] = [rows * groupRows, PER_INVOCATION * groupCols];
  const operands = kind === "forward" ? 1 : 2;
  const weights = (kind === "gradKV" ? 2 : 1) * 16 * (groupCols + 1 - groupCols % 2) * tileRows;
  return operands * (tileRows + tileColumns) * new StagedRow(shape).bytes + weights + 4 * tileRows;
}

function fits(
  kind: AttentionKind,
  shape: AttentionShape,
  schedule: WorkgroupAttention,
  target: Capabilities,
): boolean {
  const { rows, groupRows, groupCols } = schedule;
  const held = rows * Math.ceil(quadsOf(shape) / groupCols);
  return stagedBytes(kind, shape, schedule) <= target.maxWorkgroupBytes &&
    groupRows * groupCols <= target.maxInvocations &&
    (held <= MOST_HELD.workgroup || rows === 1) &&
    filled(rolesOf(kind, shape).rows, rows * groupRows);
}

/** The largest tile that fits and leaves enough workgroups to fill the GPU, else the smallest of a full warp. */
function workgroupSchedule(
  kind: AttentionKind,
  shape: AttentionShape,
  target: Capabilities,
): WorkgroupAttention {
  const { rows } = rolesOf(kind, shape);
  const usable = GROUP_TILES.filter((tile) => fits(kind, shape, tile, target));
  const plenty = usable.find((tile) =>
    shape.batch * Math.ceil(rows / (tile.rows * tile.groupRows)) >= FEW_WORKGROUPS
  );
  const warps = usable.filter((tile) => tile.groupRows * tile.groupCols >= 32);
  return plenty ?? warps.at(-1) ?? usable[0] ?? GROUP_TILES.at(-1)!;
}
