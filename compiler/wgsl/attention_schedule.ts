/**
 * The attention schedules as plain data: what a tuner searches over and a cache file stores. A schedule says how the
 * scores are cut into tiles, not what is computed; every schedule of a shape gives the same result up to rounding.
 *
 * All kernels walk tiles of scores: `rows` stay with the subgroup, invocation or workgroup (queries for o, lse and dq,
 * keys for dk and dv), columns pass by (keys, or queries).
 *
 * @module
 */

/** `attention_subgroup.ts`: a subgroup a tile of rows, a lane a few columns. */
export interface SubgroupAttention {
  readonly kind: "subgroup";
  /** Lanes of a subgroup: a power of two. */
  readonly lanes: number;
  /** Rows of a subgroup. */
  readonly rows: number;
  /** Columns of a lane in one tile. */
  readonly perLane: 1 | 2 | 4;
  /** Channels of one iteration over scores: a multiple of 4. */
  readonly channelStep: number;
  /** Columns of one iteration over the product with the scores: a multiple of `perLane`. */
  readonly columnStep: number;
}

/** `attention_register.ts`: an invocation a few rows, neither subgroups nor workgroup memory. */
export interface RegisterAttention {
  readonly kind: "register";
  /** Rows of an invocation; it scores four columns of each at once. */
  readonly rows: number;
  /** Invocations of a workgroup. */
  readonly invocations: number;
}

/** `attention_workgroup.ts`: a workgroup a tile of rows, all tiles staged in workgroup memory. */
export interface WorkgroupAttention {
  readonly kind: "workgroup";
  /** Rows of an invocation; it scores four columns of each. */
  readonly rows: number;
  /** Invocations of a workgroup along the rows and along the columns. */
  readonly groupRows: number;
  readonly groupCols: number;
}

/** How one attention kernel is cut into tiles. */
export type AttentionSchedule = SubgroupAttention | RegisterAttention | WorkgroupAttention;

/** A schedule as a short name for kernels, tables and messages: `subgroup 16x32, 8 lanes, channels 4, columns 4`. */
export function attentionScheduleName(schedule: AttentionSchedule): string {
  switch (schedule.kind) {
    case "subgroup": {
      const { lanes, rows, perLane, channelStep, columnStep } = schedule;
      return `subgroup ${rows}x${
        lanes * perLane
      }, ${lanes} lanes, channels ${channelStep}, columns ${columnStep}`;
    }
    case "register":
      return `register ${schedule.rows}x4, group ${schedule.invocations}`;
    case "workgroup": {
      const { rows, groupRows, groupCols } = schedule;
      return `workgroup ${rows * groupRows}x${4 * groupCols}, group ${groupRows}x${groupCols}`;
    }
  }
}
