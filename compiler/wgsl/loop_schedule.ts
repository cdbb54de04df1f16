/**
 * The loop schedules as plain data, which one a loop kernel gets on a target when nobody has measured it there, and which
 * others a tuner should try.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { KernelIR } from "../lower_work.ts";
import type { Schedule } from "./template.ts";

/** How the positions of a loop kernel are laid over invocations. */
export interface LoopSchedule extends Schedule {
  /** `invocation`: a row, or four neighbours, an invocation. `workgroup`: a row a workgroup, with trees over its sums. */
  readonly kind: "invocation" | "workgroup";
  /** Invocations of a workgroup: a power of two. */
  readonly invocations: number;
}

const LOOP_WORKGROUP = 64;
/** As many invocations as a software adapter's vectors have lanes, and below how many loops they are a workgroup. */
const SMALL_WORKGROUP = 16;
const FEW_LOOPS = 1024;
/** A row at least this long is worth a workgroup of its own on a GPU. */
const WORKGROUP_ROW = 128;
const ROW_WORKGROUP = 128;

/** The schedule to use when nobody has measured. */
export function chooseLoopSchedule(kernel: KernelIR, target: Capabilities): LoopSchedule {
  if (mayShareRows(kernel, target) && kernel.reduced >= WORKGROUP_ROW) {
    return { kind: "workgroup", invocations: ROW_WORKGROUP };
  }
  // Long loops in few workgroups would leave cores of a software adapter idle: they get smaller ones.
  const few = target.software && kernel.reduced > 1 && loopPositions(kernel) < FEW_LOOPS;
  return { kind: "invocation", invocations: few ? SMALL_WORKGROUP : LOOP_WORKGROUP };
}

/** Schedules that a tuner should measure, the default first. All of them fit the target. */
export function loopCandidates(kernel: KernelIR, target: Capabilities): LoopSchedule[] {
  const preferred = chooseLoopSchedule(kernel, target);
  const kinds = mayShareRows(kernel, target) ? ["invocation", "workgroup"] as const : ["invocation"] as const;
  const others = kinds.flatMap((kind) =>
    [SMALL_WORKGROUP, 32, 64, 128, 256]
      .filter((invocations) => invocations <= target.maxInvocations)
      .map((invocations): LoopSchedule => ({ kind, invocations }))
  );
  return [
    preferred,
    ...others.filter(({ kind, invocations }) =>
      kind !== preferred.kind || invocations !== preferred.invocations
    ),
  ];
}

/** A schedule as a short name: `a row a workgroup of 128`. */
export function loopScheduleName({ kind, invocations }: LoopSchedule): string {
  return kind === "workgroup" ? `a workgroup of ${invocations} a row` : `workgroups of ${invocations}`;
}

/** The variable that runs over four neighbours, or "" when no axis is a multiple of four. */
export function vectorVariable(kernel: KernelIR): string {
  if (kernel.kind === "row" && kernel.reduced > 1) return kernel.reduced % 4 === 0 ? "r" : "";
  return kernel.parallel % 4 === 0 ? "p" : "";
}

/** How many rows, or groups of four neighbours, there are. */
export function loopPositions(kernel: KernelIR): number {
  return vectorVariable(kernel) === "p" ? kernel.parallel / 4 : kernel.parallel;
}

/** Software adapters pay dearly for barriers. */
function mayShareRows(kernel: KernelIR, target: Capabilities): boolean {
  return !target.software && vectorVariable(kernel) === "r";
}
