/**
 * A compiled program with another text for one of its kernels: written by hand, or broken on purpose.
 *
 * @module
 */
import type { Compilation } from "../../compiler/mod.ts";
import { InputError } from "../errors.ts";

/** A kernel of somebody's own. */
export interface Replacement {
  /** The whole WGSL module; its entry point has the kernel's name. */
  readonly wgsl: string;
  /** Workgroups in each dimension; left out: as many as the generated kernel has. */
  readonly workgroups?: readonly [number, number, number];
}

/** The same compilation, whose program launches the replacement wherever it launched kernel `index`. */
export function replaceKernel(
  compilation: Compilation,
  index: number,
  { wgsl, workgroups }: Replacement,
): Compilation {
  const { program } = compilation;
  const kernels = program.kernels.map((kernel, i) => i === index ? { ...kernel, wgsl } : kernel);
  const dispatches = program.dispatches.map((dispatch) =>
    dispatch.kernel === index && workgroups ? { ...dispatch, workgroups } : dispatch
  );
  return { ...compilation, program: { ...program, kernels, dispatches } };
}

/**
 * Index of the kernel that a user means: by its name, the beginning of it, or its number among the kernels.
 *
 * @throws {InputError} when there is none or more than one.
 */
export function findKernel({ program: { kernels } }: Compilation, wanted: string, flag: string): number {
  const exact = kernels.findIndex(({ name }) => name === wanted);
  if (exact >= 0) return exact;
  if (/^\d+$/.test(wanted) && Number(wanted) < kernels.length) return Number(wanted);
  const found = kernels.map((_, index) => index).filter((index) => kernels[index].name.includes(wanted));
  if (found.length === 1) return found[0];
  const names = (found.length === 0 ? kernels.map((_, index) => index) : found).slice(0, 8).map((index) =>
    kernels[index].name
  );
  throw new InputError(
    `${flag} ${wanted}`,
    found.length === 0 ? "no kernel has that name" : `${found.length} kernels have that in their names`,
    `name one, such as ${names.join(", ")}`,
  );
}
