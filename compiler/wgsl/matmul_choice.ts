/**
 * Which matmul schedule a shape gets on a target, and which a tuner should try.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { MatmulSchedule } from "./matmul_schedule.ts";
import type { MatmulShape } from "./tile.ts";

/** The schedule to use when nobody has measured. */
export function chooseMatmulSchedule(shape: MatmulShape, target: Capabilities): MatmulSchedule {
  if (!target.software) return workgroupSchedule(shape, target);
  return target.subgroupSize > 0 ? subgroupSchedule(shape, target) : registerSchedule(shape, target);
}

/** The smallest power of two that covers `n`, between `low` and `high`. */
function covering(n: number, low: number, high: number): number {
  let size = low;
  while (size < n && size < high) size *= 2;
  return size;
}

function depthStep(shape: MatmulShape, step: number, target: Capabilities): number {
  while (Math.floor(shape.depth / step) > target.maxLoopIterations) step *= 2;
  return step;
}

function subgroupSchedule(shape: MatmulShape, target: Capabilities): MatmulSchedule {
  const lanes = target.subgroupSize;
  const alongRows = shape.cols < 4 * lanes && shape.rows > shape.cols;
  const [extent, contiguous] = alongRows
    ? [shape.cols, shape.bContiguous !== "depth"]
    : [shape.rows, shape.aContiguous !== "depth"];
  const shared = covering(extent, contiguous && extent > 2 ? 4 : 1, 32);
  return {
    kind: "subgroup",
    lanes,
    lanesAlong: alongRows ? "rows" : "cols",
    perLane: 4,
    shared,
    subgroups: 1,
    depthStep: depthStep(shape, 4, target),
    band: 4,
  };
}

function registerSchedule(shape: MatmulShape, target: Capabilities): MatmulSchedule {
  return {
    kind: "register",
    rows: covering(shape.rows, shape.aContiguous === "rows" ? 4 : 1, 8),
    cols: covering(shape.cols, 4, 16),
    groupRows: 1,
    groupCols: 8,
    depthStep: depthStep(shape, 4, target),
    band: 4,
  };
}

function workgroupSchedule(shape: MatmulShape, target: Capabilities): MatmulSchedule {
  return {
    kind: "workgroup",
    rows: 4,
    cols: 4,
    groupRows: 16,
    groupCols: 16,
    depthStep: depthStep(shape, 16, target),
    band: 8,
  };
}

/** Schedules that a tuner should measure for a shape, the default first. All keep the target's limits. */
export function matmulCandidates(shape: MatmulShape, target: Capabilities): MatmulSchedule[] {
  return [chooseMatmulSchedule(shape, target)];
}
