/**
 * WGSL by hand: a kernel's text in a file, used in place of the generated one as soon as it differs. It is compiled on the
 * device, held against float64 at every launch of a step, and timed against the generated kernel on what that reads.
 *
 * @module
 */
import type { Compilation } from "../../compiler/mod.ts";
import { type GpuDevice, GpuError } from "../../runtime/mod.ts";
import { type Duel, KernelTrial } from "../../runtime/kernel_trial.ts";
import { type CheckedKernel, checkProgram, type CheckReport } from "./check.ts";
import { kernelFile, parseKernelFile, positionsOf } from "./kernel_file.ts";
import { replaceKernel, type Replacement } from "./replace_kernel.ts";
import { openOn, type StepValues } from "./step_values.ts";

/** What became of a kernel file. */
export type EditOutcome =
  /** There was none, or it held the generated kernel: now it does. */
  | { readonly kind: "written"; readonly path: string; readonly kernel: string }
  /** The driver does not take the text. */
  | { readonly kind: "refused"; readonly path: string; readonly kernel: string; readonly problem: string }
  /** It ran. */
  | {
    readonly kind: "tried";
    readonly path: string;
    readonly kernel: string;
    readonly trial: KernelComparison;
  };

/** A kernel written by hand, against the generated one. */
export interface KernelComparison {
  /** Launches that were checked, each one's worst value: generated and by hand, the largest errors first. */
  readonly generated: readonly CheckedKernel[];
  /** Of the other. */
  readonly byHand: readonly CheckedKernel[];
  /** Launches for which the reference would take too long. */
  readonly unchecked: number;
  /** Whether the first launch stores the same bits. */
  readonly sameBits: boolean;
  /** Generated first, by hand second. */
  readonly duel: Duel;
}

/** A kernel written by hand that the driver does not take: its text, its bindings or its workgroups. */
export class RefusedKernel extends Error {
  /** Name of the class. */
  override readonly name = "RefusedKernel";
  /** Takes over what the driver said, on one line. */
  constructor(readonly reason: GpuError) {
    super(reason.detail);
  }
}

/** How to try. */
export interface EditOptions {
  /** Command that runs it again, for the head of a new file. */
  readonly command: string;
  /** Seconds that the reference may take for one launch. */
  readonly limit?: number;
}

/**
 * Writes a kernel to a file, or, when the file holds another text already, tries that.
 *
 * @param index Of the kernel in the program.
 * @throws {InputError} when the file's line of workgroups is not one.
 * @throws {GpuError} when the device fails.
 */
export async function editKernel(
  device: GpuDevice,
  compilation: Compilation,
  index: number,
  path: string,
  values: StepValues,
  { command, limit }: EditOptions,
): Promise<EditOutcome> {
  const { name: kernel } = compilation.program.kernels[index];
  const generated = kernelFile(compilation, index, command);
  const found = await readIfThere(path);
  if (found === undefined || found === generated) {
    await Deno.writeTextFile(path, generated);
    return { kind: "written", path, kernel };
  }
  const replacement = parseKernelFile(found, path);
  try {
    const trial = await compareKernels(device, compilation, index, replacement, values, limit);
    return { kind: "tried", path, kernel, trial };
  } catch (problem) {
    if (!(problem instanceof RefusedKernel)) throw problem;
    return { kind: "refused", path, kernel, problem: problem.message };
  }
}

/**
 * Checks and times a kernel against the generated one.
 *
 * @throws {RefusedKernel} when the driver does not take the kernel.
 * @throws {GpuError} when the device fails.
 */
export async function compareKernels(
  device: GpuDevice,
  compilation: Compilation,
  index: number,
  replacement: Replacement,
  values: StepValues,
  limit?: number,
): Promise<KernelComparison> {
  const replaced = replaceKernel(compilation, index, replacement);
  const only = new Set(positionsOf(compilation, index));
  const dispatch = compilation.program.dispatches.findIndex(({ kernel }) => kernel === index);
  const { duel, sameBits } = await tryLaunch(device, compilation, replaced, dispatch, values);
  const check = async (which: Compilation): Promise<CheckReport> => {
    using opened = await openOn(device, which, values);
    return await checkProgram(opened.loaded, which, values, { only, limit });
  };
  const generated = await check(compilation);
  const byHand = await check(replaced);
  return {
    generated: generated.kernels,
    byHand: byHand.kernels,
    unchecked: byHand.skipped.length,
    sameBits,
    duel,
  };
}

/** Both kernels on what one dispatch reads. */
async function tryLaunch(
  device: GpuDevice,
  compilation: Compilation,
  replaced: Compilation,
  dispatch: number,
  values: StepValues,
): Promise<{ readonly duel: Duel; readonly sameBits: boolean }> {
  const kernelOf = ({ program }: Compilation) => {
    const { kernel, workgroups } = program.dispatches[dispatch];
    return { source: program.kernels[kernel], workgroups };
  };
  using opened = await openOn(device, compilation, values);
  const { loaded } = opened;
  loaded.upload(values);
  if (dispatch > 0) await loaded.runSome(0, dispatch);
  using trial = KernelTrial.open(loaded, dispatch);
  const byHand = await trial.prepare(kernelOf(replaced)).catch((problem) => {
    const isRefused = problem instanceof GpuError && problem.kind === "validation";
    throw isRefused ? new RefusedKernel(problem) : problem;
  });
  const generated = await trial.prepare(kernelOf(compilation));
  const [expected, given] = [await trial.results(generated), await trial.results(byHand)];
  const sameBits = expected.every((bytes, i) => bytes.every((byte, at) => byte === given[i][at]));
  return { duel: await trial.duel(generated, byHand), sameBits };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound) return undefined;
    throw problem;
  }
}
