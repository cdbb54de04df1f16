/**
 * The matmul template's front door: chooses a schedule for a shape and a target, lists the schedules worth trying, and
 * emits the entry point's statements.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LimitError } from "../errors.ts";
import { emitRegisterMatmul } from "./matmul_register.ts";
import type { MatmulSchedule } from "./matmul_schedule.ts";
import { emitSubgroupMatmul } from "./matmul_subgroup.ts";
import { emitWorkgroupMatmul } from "./matmul_workgroup.ts";
import type { MatmulShape, TileHooks, TileKernel } from "./tile.ts";

export { chooseMatmulSchedule, matmulCandidates } from "./matmul_choice.ts";
export type {
  MatmulSchedule,
  RegisterSchedule,
  SubgroupSchedule,
  WorkgroupSchedule,
} from "./matmul_schedule.ts";
export { scheduleName } from "./matmul_schedule.ts";

/**
 * Emits C[z, row, col] = sum over k of A[z, row, k] * B[z, k, col] under a schedule, accumulated in f32.
 *
 * Positions that reach the hooks lie inside the shape, except that a vec4 may run past the end of its axis; elements
 * past `depth` never enter a sum. No element is loaded twice by one tile.
 *
 * @throws {LimitError} when the schedule needs more than the target allows.
 */
export function emitMatmul(
  shape: MatmulShape,
  schedule: MatmulSchedule,
  hooks: TileHooks,
  target: Capabilities,
): TileKernel {
  const kernel = emit(shape, schedule, hooks, target);
  const invocations = kernel.workgroupSize.reduce((x, y) => x * y);
  if (invocations > target.maxInvocations) {
    throw new LimitError("matmul's workgroup", "maxInvocations", invocations, target.maxInvocations);
  }
  if (kernel.loopIterations > target.maxLoopIterations) {
    throw new LimitError(
      "matmul's loops",
      "maxLoopIterations",
      kernel.loopIterations,
      target.maxLoopIterations,
    );
  }
  return kernel;
}

function emit(
  shape: MatmulShape,
  schedule: MatmulSchedule,
  hooks: TileHooks,
  target: Capabilities,
): TileKernel {
  switch (schedule.kind) {
    case "subgroup":
      return emitSubgroupMatmul(shape, schedule, hooks, target);
    case "register":
      return emitRegisterMatmul(shape, schedule, hooks, target);
    case "workgroup":
      return emitWorkgroupMatmul(shape, schedule, hooks, target);
  }
}
