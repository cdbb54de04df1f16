/**
 * The attention templates' front door: chooses a schedule for a shape and a target, lists the schedules worth trying,
 * and emits the entry point's statements of the three kernels.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LimitError } from "../errors.ts";
import type { AttentionSchedule } from "./attention_schedule.ts";
import { emitSubgroupForward } from "./attention_subgroup.ts";
import { emitSubgroupGradient } from "./attention_subgroup_gradient.ts";
import { emitRegisterForward, emitRegisterGradient } from "./attention_register.ts";
import { emitWorkgroupForward } from "./attention_workgroup_forward.ts";
import { emitWorkgroupGradient } from "./attention_workgroup_gradient.ts";
import type { AttentionHooks, AttentionKernel, AttentionShape } from "./attention_tile.ts";

export { attentionCandidates, chooseAttentionSchedule } from "./attention_choice.ts";
export type {
  AttentionSchedule,
  RegisterAttention,
  SubgroupAttention,
  WorkgroupAttention,
} from "./attention_schedule.ts";
export { attentionScheduleName } from "./attention_schedule.ts";

/**
 * Emits o, the rows' logarithmic sums, or both.
 *
 * @throws {LimitError} when the schedule needs more than the target allows.
 */
export function emitAttentionForward(
  shape: AttentionShape,
  schedule: AttentionSchedule,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly o: boolean; readonly lse: boolean },
): AttentionKernel {
  switch (schedule.kind) {
    case "subgroup":
      return checked(emitSubgroupForward(shape, schedule, hooks, target, results), target);
    case "register":
      return checked(emitRegisterForward(shape, schedule, hooks, target, results), target);
    case "workgroup":
      return checked(emitWorkgroupForward(shape, schedule, hooks, target, results), target);
  }
}

/**
 * Emits dq, the gradient of the queries: `dq[i] = scale * sum over j of ds[i, j] k[j]` with
 * `ds = p * (dot(dO[i], v[j]) - delta[i])`.
 *
 * @throws {LimitError} when the schedule needs more than the target allows.
 */
export function emitAttentionGradQ(
  shape: AttentionShape,
  schedule: AttentionSchedule,
  hooks: AttentionHooks,
  target: Capabilities,
): AttentionKernel {
  return gradient(shape, schedule, hooks, target, { dq: true, dk: false, dv: false });
}

/**
 * Emits the gradients of the keys, of the values, or both: `dk[j] = scale * sum over i of ds[i, j] q[i]` and
 * `dv[j] = sum over i of p[i, j] dO[i]`.
 *
 * @throws {LimitError} when the schedule needs more than the target allows.
 */
export function emitAttentionGradKV(
  shape: AttentionShape,
  schedule: AttentionSchedule,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly dk: boolean; readonly dv: boolean },
): AttentionKernel {
  return gradient(shape, schedule, hooks, target, { dq: false, ...results });
}

function gradient(
  shape: AttentionShape,
  schedule: AttentionSchedule,
  hooks: AttentionHooks,
  target: Capabilities,
  results: { readonly dq: boolean; readonly dk: boolean; readonly dv: boolean },
): AttentionKernel {
  switch (schedule.kind) {
    case "subgroup":
      return checked(emitSubgroupGradient(shape, schedule, hooks, target, results), target);
    case "register":
      return checked(emitRegisterGradient(shape, schedule, hooks, target, results), target);
    case "workgroup":
      return checked(emitWorkgroupGradient(shape, schedule, hooks, target, results), target);
  }
}

function checked(kernel: AttentionKernel, target: Capabilities): AttentionKernel {
  const needs = [
    ["maxInvocations", kernel.workgroupSize.reduce((x, y) => x * y)],
    ["maxLoopIterations", kernel.loopIterations],
    ["maxWorkgroupBytes", kernel.workgroupBytes],
  ] as const;
  for (const [limit, needed] of needs) {
    if (needed > target[limit]) throw new LimitError("attention", limit, needed, target[limit]);
  }
  return kernel;
}
