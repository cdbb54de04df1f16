/**
 * What every generator hands over: the entry point's statements and the shape of its launch, before bindings are joined
 * to it.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import { LimitError } from "../errors.ts";
import type { Writer } from "./writer.ts";

/** Statements and launch of one kernel. */
export interface KernelText {
  /** Module-scope declarations that precede the entry point. */
  readonly declarations: string;
  /** Statements of the entry point. */
  readonly body: string;
  readonly workgroupSize: readonly [number, number, number];
  readonly workgroups: readonly [number, number, number];
  /** Bound on the loop iterations of one invocation. */
  readonly loopIterations: number;
  readonly workgroupBytes: number;
}

/**
 * Folds `count` workgroups into a grid within the limit, and appends `let <name>` for the workgroup's linear index.
 *
 * @throws {LimitError} when even a square grid cannot hold them.
 */
export function foldGrid(
  w: Writer,
  count: number,
  target: Capabilities,
  name: string,
): [number, number, number] {
  const { maxWorkgroups } = target;
  if (count <= maxWorkgroups) {
    w.line(`let ${name} = group.x;`);
    return [count, 1, 1];
  }
  const rows = Math.ceil(count / maxWorkgroups);
  if (rows > maxWorkgroups) {
    throw new LimitError("a kernel's grid", "maxWorkgroups squared", count, maxWorkgroups ** 2);
  }
  const width = Math.ceil(count / rows);
  w.line(`let ${name} = group.y * ${width}u + group.x;`);
  return [width, rows, 1];
}
