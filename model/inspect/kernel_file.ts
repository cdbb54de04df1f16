/**
 * A kernel as a file to be edited: its WGSL under a head of comments that says what it computes, what its bindings are and
 * how it is launched. The whole file is the module, so a line that the driver complains about is the line of the file.
 *
 * @module
 */
import { type Compilation, printGraph } from "../../compiler/mod.ts";
import { isolate } from "../../compiler/isolate.ts";
import { InputError } from "../errors.ts";
import type { Replacement } from "./replace_kernel.ts";

const WORKGROUPS = /^\/\/ workgroups: *(.*)$/m;

/** Positions in the order of execution at which a kernel is launched. */
export function positionsOf({ order, launches, program }: Compilation, index: number): number[] {
  return order.map((_, position) => position).filter((position) => {
    const [first, end] = launches[position];
    return program.dispatches.slice(first, end).some(({ kernel }) => kernel === index);
  });
}

/**
 * The file for a kernel.
 *
 * @param index Of the kernel in the program.
 * @param command What runs it again, for the head.
 */
export function kernelFile(compilation: Compilation, index: number, command: string): string {
  const { program } = compilation;
  const { name, wgsl, workgroupSize, ir, template } = program.kernels[index];
  const positions = positionsOf(compilation, index);
  const { graph } = isolate(compilation, positions[0]);
  const { ranges, workgroups, bytes, flops } = program.dispatches.find(({ kernel }) => kernel === index)!;
  const { bindings } = program.kernels[index];
  const times = positions.length === 1 ? "once" : `${positions.length} times`;
  const comment = (text: string) => text.trimEnd().split("\n").map((line) => `//   ${line}`.trimEnd());
  return [
    `// ${name}`,
    "//",
    `// Program ${program.name} launches it ${times}. What it computes at its first launch; inputs and outputs are named`,
    "// after the program's nodes:",
    ...comment(printGraph(graph)),
    "//",
    "// Its bindings, all in group 0; kinds and sizes cannot be changed:",
    ...bindings.map((kind, i) => `//   ${i}  ${kind.padEnd(10)}  ${ranges[i].size} bytes`),
    "//",
    `// Its Kernel IR${template ? `, scheduled as ${template.scheduleName}` : ""}:`,
    ...comment(ir),
    "//",
    `// A launch moves ${bytes} bytes and computes ${flops} operations, with ${
      workgroupSize.join(" x ")
    } invocations in a`,
    "// workgroup. The number of workgroups is yours to choose:",
    `// workgroups: ${workgroups.join(" x ")}`,
    "//",
    "// Change what follows, keep the name of the entry point, save, and run",
    `//   ${command}`,
    "",
    wgsl.trimEnd(),
    "",
  ].join("\n");
}

/**
 * What a user made of such a file.
 *
 * @param path The file, for errors.
 * @throws {InputError} when the line of workgroups is not one.
 */
export function parseKernelFile(text: string, path: string): Replacement {
  const line = WORKGROUPS.exec(text);
  if (!line) return { wgsl: text };
  const counts = line[1].trim().split(/\s*x\s*/).map(Number);
  if (counts.length > 3 || counts.some((count) => !Number.isInteger(count) || count < 1)) {
    throw new InputError(
      `${path}: workgroups: ${line[1]}`,
      "these are no numbers of workgroups",
      "write 4 x 2 x 1",
    );
  }
  const [x, y = 1, z = 1] = counts;
  return { wgsl: text, workgroups: [x, y, z] };
}
