/**
 * Which matmul schedule a shape gets on a target when nobody has measured it there, and which a tuner should try.
 *
 * The choices for software adapters were measured on lavapipe (AVX2 lanes, two cores); those for GPUs are customary
 * sizes that have not been measured.
 *
 * A row's result must not depend on how many rows a product has, so that generation gives a request the same text alone and
 * inside a batch. It has the same bits under all schedules of one order of adding: subgroup and register schedules add four
 * depths in one statement (whatever tile, lanes or depth step they have), workgroup schedules one. So the default for a
 * target is always of one kind, and for few rows a tuner is only offered schedules that add in the default's order. Only
 * products deeper than one loop can go are cut (`split.ts`), which takes a depth beyond 500,000.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import {
  type MatmulSchedule,
  type RegisterSchedule,
  scheduleName,
  type SubgroupSchedule,
  type WorkgroupSchedule,
} from "./matmul_schedule.ts";
import type { MatmulShape } from "./tile.ts";

/** Tile rows that are walked together: 4 to 16 were equal, 1 was up to a fifth slower, all of them lost on few depths. */
const BAND = 8;
/** Output tiles below which a smaller tile is preferred, so that all cores or compute units have work. */
const FEW_TILES_SOFTWARE = 8;
const FEW_TILES_GPU = 96;
/** Floating-point operations from which a tile pays that is a fifth faster but takes twice as long to compile. */
const LARGE_FLOPS = 0.25e9;
/** Floating-point operations below which compiling is all that counts. */
const TINY_FLOPS = 0.02e9;
/** Bytes of an operand from which reading it across its rows misses the last-level cache. */
const FAR_BYTES = 16 * 2 ** 20;
/** Loop iterations that are left for the loop of stores. */
const STORE_ITERATIONS = 64;
/** Rows up to which a product may be one of generation's, with a row for each sequence. */
const FEW_ROWS = 128;
/** Most depth steps in one iteration: `split.ts` cuts deeper products, because text grows with every step. */
const MAX_UNROLLED_STEPS = 8;

/** The schedule to use when nobody has measured. */
export function chooseMatmulSchedule(shape: MatmulShape, target: Capabilities): MatmulSchedule {
  if (!target.software) return workgroupSchedule(shape, target);
  return target.subgroupSize > 0 ? subgroupSchedule(shape, target) : registerSchedule(shape, target);
}

/**
 * Schedules that a tuner should measure for a shape, the default first, then what suits the target best. All of them fit
 * the target.
 */
export function matmulCandidates(shape: MatmulShape, target: Capabilities): MatmulSchedule[] {
  const subgroups = target.subgroupSize > 0 ? subgroupCandidates(shape, target) : [];
  const others = target.software
    ? [...subgroups, ...registerCandidates(shape, target)]
    : [...workgroupCandidates(shape, target), ...subgroups, ...registerCandidates(shape, target)];
  const seen = new Set<string>();
  const chosen = chooseMatmulSchedule(shape, target);
  return [chosen, ...others].filter((candidate, i) => {
    const name = scheduleName(candidate);
    const repeated = seen.has(name);
    seen.add(name);
    if (shape.rows <= FEW_ROWS && termsAtOnce(candidate) !== termsAtOnce(chosen)) return false;
    return i === 0 || (!repeated && fits(shape, candidate, target));
  });
}

/** Depths that a schedule adds in one statement: schedules with the same number give the same bits. */
function termsAtOnce({ kind }: MatmulSchedule): number {
  return kind === "workgroup" ? 1 : 4;
}

/** One subgroup a workgroup on a processor; a GPU hides latency with several. Larger tiles take seconds to compile. */
function subgroupCandidates(shape: MatmulShape, target: Capabilities): SubgroupSchedule[] {
  const lanes = target.subgroupSize;
  const list: SubgroupSchedule[] = [];
  for (const subgroups of target.software ? [1] : [4, 2, 1]) {
    for (const lanesAlong of ["cols", "rows"] as const) {
      for (const shared of [4, 8, 16, 32, 48, 64]) {
        for (const perLane of [4, 8, 16]) {
          if (shared * perLane > (target.software ? 512 : 128)) continue;
          for (const step of [4, 8]) {
            if (step > 4 && shared * perLane > 128) continue;
            for (const band of [1, BAND, 2 ** 16]) {
              const tile = { lanesAlong, perLane, shared, subgroups };
              list.push({
                kind: "subgroup",
                lanes,
                ...tile,
                depthStep: depthStep(shape, step, target),
                band,
              });
            }
          }
        }
      }
    }
  }
  return list;
}

function registerCandidates(shape: MatmulShape, target: Capabilities): RegisterSchedule[] {
  const groups = target.software ? [[1, 8], [1, 16]] : [[8, 8], [4, 16], [16, 16], [1, 64]];
  return [[8, 8], [4, 8], [8, 4], [4, 4], [8, 16], [16, 8]].flatMap(([rows, cols]) =>
    groups.map(([groupRows, groupCols]): RegisterSchedule => {
      const group = { groupRows, groupCols, band: BAND };
      return { kind: "register", rows, cols, ...group, depthStep: depthStep(shape, 4, target) };
    })
  );
}

/** Tiles of 16 to 128 rows and columns from 8 x 8, 8 x 4, 4 x 8 or 4 x 4 an invocation, in workgroups of 32 to 256. */
function workgroupCandidates(shape: MatmulShape, target: Capabilities): WorkgroupSchedule[] {
  const list: WorkgroupSchedule[] = [];
  for (const [rows, cols] of [[8, 8], [8, 4], [4, 8], [4, 4]]) {
    for (const [groupRows, groupCols] of WORKGROUP_GRIDS) {
      const tile = { rows, cols, groupRows, groupCols };
      if (rows * groupRows > 128 || cols * groupCols > 128) continue;
      for (const step of [8, 16, 32]) {
        for (const band of [BAND, 1, 2 ** 16]) {
          list.push({ kind: "workgroup", ...tile, depthStep: depthStep(shape, step, target), band });
        }
      }
    }
  }
  return list;
}

/** Rows and columns of a schedule's tile: a subgroup's or a workgroup's. */
function tileOf(schedule: MatmulSchedule): { rows: number; cols: number } {
  if (schedule.kind !== "subgroup") {
    return { rows: schedule.rows * schedule.groupRows, cols: schedule.cols * schedule.groupCols };
  }
  const own = schedule.lanes * schedule.perLane;
  return schedule.lanesAlong === "cols"
    ? { rows: schedule.shared, cols: own }
    : { rows: own, cols: schedule.shared };
}

/** Whether a schedule keeps the target's limits and wastes less than three quarters of its tiles. */
function fits(shape: MatmulShape, schedule: MatmulSchedule, target: Capabilities): boolean {
  const tile = tileOf(schedule);
  const least = 4 * Math.max(8, target.subgroupSize);
  if (tile.rows >= 2 * Math.max(shape.rows, 4) && tile.rows > least) return false;
  if (tile.cols >= 2 * Math.max(shape.cols, 4) && tile.cols > least) return false;
  const own = schedule.kind === "register" ? schedule : tile;
  if (shape.aContiguous === "rows" && own.rows % 4 !== 0 && shape.rows > own.rows) return false;
  if (Math.floor(shape.depth / schedule.depthStep) + STORE_ITERATIONS > target.maxLoopIterations) {
    return false;
  }
  const invocations = schedule.kind === "subgroup"
    ? schedule.lanes * schedule.subgroups
    : schedule.groupRows * schedule.groupCols;
  if (invocations > target.maxInvocations) return false;
  return schedule.kind !== "workgroup" || stagedBytes(schedule) <= target.maxWorkgroupBytes;
}

/** The smallest power of two that covers `n`, between `low` and `high`. */
function covering(n: number, low: number, high: number): number {
  let size = low;
  while (size < n && size < high) size *= 2;
  return size;
}

/** `step`, or the smallest multiple of it, within reason, with which the loop over depth keeps the target's limit. */
function depthStep(shape: MatmulShape, step: number, target: Capabilities): number {
  const iterations = Math.max(1, target.maxLoopIterations - STORE_ITERATIONS);
  return step * Math.min(MAX_UNROLLED_STEPS, Math.max(1, Math.ceil(shape.depth / step / iterations)));
}

function flopsOf(shape: MatmulShape): number {
  return 2 * shape.batch * shape.rows * shape.cols * shape.depth;
}

/**
 * A tile of 64 x 64: on 8 lanes 32 x 8 a lane where it pays, 32 x 4 for small products, 16 x 4 for tiny ones (55, 45 and
 * 30 GFLOP/s, which take 400, 180 and 100 ms to compile); on 16 lanes 64 x 4 (a tenth to a third faster than 32 x 8 and
 * 32 x 4 at every size of GPT-2's); on SwiftShader's 4 lanes always 32 x 8 (a fifth faster than 32 x 4). Larger tiles
 * were no faster and took 0.7 to 1.4 s; a depth step of 8 was no faster.
 */
function subgroupSchedule(shape: MatmulShape, target: Capabilities): SubgroupSchedule {
  const lanes = target.subgroupSize;
  const { batch, rows, cols, depth } = shape;
  const base = { kind: "subgroup", lanes, subgroups: 1, band: BAND } as const;
  const flops = flopsOf(shape);
  const manyLanes = lanes >= 16;
  const largest = flops < TINY_FLOPS ? 16 : manyLanes ? 64 : 32;
  const wide = manyLanes || (flops < LARGE_FLOPS && lanes >= 8) ? 4 : 8;

  // Few columns: lanes along the rows waste less of the tile.
  if (cols < 4 * lanes && rows > cols) {
    const shared = covering(cols, 4, largest);
    return { ...base, lanesAlong: "rows", perLane: 4, shared, depthStep: depthStep(shape, 4, target) };
  }
  // A large B read across its rows: broadcasting B gives each load eight cache lines to wait for at once instead of
  // four (64 x 768 x 25152: 43 against 21 GFLOP/s).
  const across = shape.aContiguous === "depth" && shape.bContiguous === "cols";
  if (across && rows >= 4 * lanes && 4 * depth * cols > FAR_BYTES) {
    const tile = manyLanes ? { perLane: 4, shared: 64 } : { perLane: 8, shared: 32 };
    return { ...base, lanesAlong: "rows", ...tile, depthStep: depthStep(shape, 4, target) };
  }

  const shared = covering(rows, shape.aContiguous === "rows" && rows > 4 ? 4 : 1, largest);
  // Few rows are bound by the instructions of B's loads, and by registers: 8 loads a step were best on 16 lanes. Along the
  // columns that is 8 columns (1 x 3072 x 768: 4, 8, 16 gave 2.3, 3.9, 2.6 GFLOP/s); with fewer registers a lane should own
  // a whole line (on 8 lanes 0.5, 1.0, 2.0). Along depth every load of a narrow tile is a line already.
  const acrossDepth = manyLanes ? 8 : 16;
  let perLane = shared > 8 ? wide : shape.bContiguous === "cols" ? acrossDepth : 4;
  const tiles = () => batch * Math.ceil(rows / shared) * Math.ceil(cols / (lanes * perLane));
  const isHalfEmpty = () => lanes * perLane >= 2 * cols;
  while (perLane > 4 && (tiles() < FEW_TILES_SOFTWARE || isHalfEmpty())) perLane /= 2;
  const step = shared <= 4 && shape.bContiguous === "depth" ? 8 : 4;
  return { ...base, lanesAlong: "cols", perLane, shared, depthStep: depthStep(shape, step, target) };
}

/** 16 x 8 an invocation: 22 GFLOP/s on lavapipe; eight invocations along the columns share the rows' cache lines. */
function registerSchedule(shape: MatmulShape, target: Capabilities): RegisterSchedule {
  const large = flopsOf(shape) >= LARGE_FLOPS;
  return {
    kind: "register",
    rows: covering(shape.rows, shape.aContiguous === "rows" ? 4 : 1, large ? 16 : 8),
    cols: covering(shape.cols / 8, 4, 8),
    groupRows: 1,
    groupCols: 8,
    depthStep: depthStep(shape, 4, target),
    band: BAND,
  };
}

/** Workgroup tiles of 128 x 128, 64 x 64, 32 x 32, and flat ones for few rows or columns. */
const GPU_TILES: readonly WorkgroupSchedule[] = [
  { kind: "workgroup", rows: 8, cols: 8, groupRows: 16, groupCols: 16, depthStep: 8, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 16, groupCols: 16, depthStep: 16, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 8, groupCols: 8, depthStep: 16, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 4, groupCols: 16, depthStep: 16, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 16, groupCols: 4, depthStep: 16, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 1, groupCols: 32, depthStep: 16, band: BAND },
  { kind: "workgroup", rows: 4, cols: 4, groupRows: 32, groupCols: 1, depthStep: 16, band: BAND },
];

/** Invocations of a workgroup along the rows and the columns: squares, halves of squares, and flat ones. */
const WORKGROUP_GRIDS = [
  ...[[16, 16], [8, 16], [16, 8], [8, 8], [4, 16], [16, 4], [4, 8], [8, 4]],
  ...[[1, 32], [32, 1], [2, 32], [32, 2]],
];

/** Bytes of workgroup memory that `matmul_workgroup.ts` needs. */
function stagedBytes(schedule: WorkgroupSchedule): number {
  const { rows, cols } = tileOf(schedule);
  return 16 * schedule.depthStep * (rows / 4 + 1 + cols / 4 + 1);
}

/** The first tile that the result fills at least half and that leaves enough tiles to fill the GPU. */
function workgroupSchedule(shape: MatmulShape, target: Capabilities): WorkgroupSchedule {
  const { batch, rows, cols } = shape;
  const usable = GPU_TILES.map((tile) => ({ ...tile, depthStep: depthStep(shape, tile.depthStep, target) }))
    .filter((tile) => tile.groupRows * tile.groupCols <= target.maxInvocations)
    .filter((tile) => stagedBytes(tile) <= target.maxWorkgroupBytes);
  const filled = usable.filter((schedule) => {
    const tile = tileOf(schedule);
    return tile.rows < 2 * Math.max(rows, 4) && tile.cols < 2 * Math.max(cols, 4);
  });
  const plenty = filled.find((schedule) => {
    const tile = tileOf(schedule);
    return batch * Math.ceil(rows / tile.rows) * Math.ceil(cols / tile.cols) >= FEW_TILES_GPU;
  });
  return plenty ?? filled.find((tile) => tile.groupRows * tile.groupCols <= 64) ?? filled[0] ??
    usable.at(2) ??
    GPU_TILES[2];
}
