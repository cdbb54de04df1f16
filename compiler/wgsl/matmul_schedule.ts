/**
 * The matmul schedules as plain data: what a tuner searches over and a cache file stores. A schedule says how a product
 * is cut into tiles, not what it computes; every schedule of a shape gives the same result up to rounding.
 *
 * @module
 */

/** Tile rows that are walked together; see `matmul_grid.ts`. */
interface Walk {
  readonly band: number;
}

/** `matmul_subgroup.ts`: a subgroup a tile, one operand broadcast by shuffles. */
export interface SubgroupSchedule extends Walk {
  readonly kind: "subgroup";
  /** Lanes of a subgroup. */
  readonly lanes: number;
  /** The axis of the result along which lanes own their elements; the other axis' operand is broadcast. */
  readonly lanesAlong: "rows" | "cols";
  /** Rows or columns that a lane owns: a multiple of 4. */
  readonly perLane: number;
  /** Rows or, a multiple of 4, columns of the broadcast operand. */
  readonly shared: number;
  /** Subgroups of a workgroup, each with a tile of its own. */
  readonly subgroups: number;
  /** Depths of one loop iteration: a multiple of 4. */
  readonly depthStep: number;
}

/** `matmul_register.ts`: an invocation a tile, neither subgroups nor workgroup memory. */
export interface RegisterSchedule extends Walk {
  readonly kind: "register";
  /** Rows and columns that an invocation computes; `cols` is a multiple of 4. */
  readonly rows: number;
  readonly cols: number;
  /** Invocations of a workgroup along the rows and along the columns. */
  readonly groupRows: number;
  readonly groupCols: number;
  /** Depths of one loop iteration: a multiple of 4. */
  readonly depthStep: number;
}

/** `matmul_workgroup.ts`: a workgroup a tile, both operands staged in workgroup memory. */
export interface WorkgroupSchedule extends Walk {
  readonly kind: "workgroup";
  /** Rows and columns that an invocation computes: multiples of 4. */
  readonly rows: number;
  readonly cols: number;
  /** Invocations of a workgroup along the rows and along the columns. */
  readonly groupRows: number;
  readonly groupCols: number;
  /** Depths that are staged at once: a multiple of 4. */
  readonly depthStep: number;
}

/** How one product is cut into tiles. */
export type MatmulSchedule = SubgroupSchedule | RegisterSchedule | WorkgroupSchedule;

/** A schedule as a short name for kernels, tables and messages: `subgroup 32x4 of 8 cols, k4, band 16`. */
export function scheduleName(schedule: MatmulSchedule): string {
  const { kind, depthStep, band } = schedule;
  const size = kind === "subgroup"
    ? `${schedule.shared}x${schedule.perLane}, ${schedule.lanes} lanes along ${schedule.lanesAlong}` +
      (schedule.subgroups > 1 ? `, ${schedule.subgroups} subgroups` : "")
    : `${schedule.rows}x${schedule.cols}, group ${schedule.groupRows}x${schedule.groupCols}`;
  return `${kind} ${size}, k${depthStep}, band ${band}`;
}
