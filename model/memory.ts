/**
 * How much memory a run may plan with: as flags write it, as plans keep it, and as its programs get it.
 *
 * @module
 */
import { MemoryBudgetError } from "../compiler/errors.ts";
import type { Program } from "../compiler/program.ts";
import type { GpuDevice } from "../runtime/device.ts";
import { InputError } from "./errors.ts";
import type { RunPlan } from "./run_options.ts";

const UNITS: Readonly<Record<string, number>> = { mb: 1e6, gb: 1e9, mib: 2 ** 20, gib: 2 ** 30 };

/**
 * Bytes of an amount such as `4GB`, `500MB` or `1.5GiB`.
 *
 * @param flag Name of the flag that the text belongs to, for the message.
 * @throws {InputError} when it is no amount of memory.
 */
export function parseMemory(text: string, flag = "--memory"): number {
  const [, amount, unit] = /^(\d+\.?\d*|\.\d+)\s*([a-z]+)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(amount) * (UNITS[unit?.toLowerCase()] ?? NaN));
  if (bytes > 0) return bytes;
  throw new InputError(
    `${flag} ${text}`,
    "not an amount of memory",
    `give a number with MB, GB, MiB or GiB, such as ${flag} 4GB`,
  );
}

/** Bytes as a flag could give them, rounded up: `2.64GB`. */
export function memoryText(bytes: number): string {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)}MB` : `${Math.ceil(bytes / 1e7) / 100}GB`;
}

/** What the programs of a step may hold, and what else the run keeps beside the one that is fitted into it. */
export interface MemoryBudget {
  /** All of it, in bytes. */
  readonly bytes: number;
  /** True when the user gave it. */
  readonly isGiven: boolean;
}

/**
 * The plan's own, or on a software adapter the memory that the system has available; undefined where memory is the
 * driver's to know.
 */
export function memoryBudget({ memoryBytes }: RunPlan, device: GpuDevice): MemoryBudget | undefined {
  if (memoryBytes !== undefined) return { bytes: memoryBytes, isGiven: true };
  const { budgetBytes } = device.memory;
  return Number.isFinite(budgetBytes) ? { bytes: budgetBytes, isGiven: false } : undefined;
}

/**
 * The error to show instead of `problem`: that of a budget too small says what the whole run needs.
 *
 * @param reserved Bytes that the run holds beside the program that did not fit.
 */
export function explainBudget(problem: unknown, budget: MemoryBudget | undefined, reserved: number): unknown {
  if (!(problem instanceof MemoryBudgetError) || !budget) return problem;
  const needed = memoryText(problem.needed + reserved);
  return new InputError(
    budget.isGiven
      ? `--memory ${memoryText(budget.bytes)}`
      : `this machine's ${memoryText(budget.bytes)} of free memory`,
    `the run needs at least ${needed}, recomputing all that helps`,
    `take ${budget.isGiven ? `--memory ${needed} or ` : ""}a smaller --micro-batch or --context`,
  );
}

/** What became of a budget, for people: plain data. */
export interface MemoryReport {
  /** Bytes that the programs of a step hold. */
  readonly plannedBytes: number;
  /** Bytes that they may hold. */
  readonly budgetBytes: number;
  /** True when the user gave the budget. */
  readonly isGiven: boolean;
  /** Values of the forward pass that are computed again. */
  readonly recomputed: number;
  /** Arithmetic of that, as a share of all other. */
  readonly share: number;
}

/** The report of the programs of a step; undefined where there was no budget. */
export function memoryReport(
  budget: MemoryBudget | undefined,
  programs: readonly Program[],
  plannedBytes: number,
): MemoryReport | undefined {
  if (!budget) return undefined;
  const done = programs.flatMap(({ recomputation }) => recomputation ? [recomputation] : []);
  return {
    plannedBytes,
    budgetBytes: budget.bytes,
    isGiven: budget.isGiven,
    recomputed: done.reduce((sum, { recomputed }) => sum + recomputed.length, 0),
    share: done.reduce((most, { share }) => Math.max(most, share), 0),
  };
}
