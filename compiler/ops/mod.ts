/**
 * The op table: everything that the compiler knows about an op, stated once.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { ATTENTION } from "./attention.ts";
import { CACHED } from "./cached_attention.ts";
import { COMPOSITE } from "./composite.ts";
import { INDEXED } from "./indexed.ts";
import { LEAVES } from "./leaves.ts";
import { CONTRACTION } from "./matmul.ts";
import { MOVEMENT } from "./movement.ts";
import { POINTWISE } from "./pointwise.ts";
import { REDUCE } from "./reduce.ts";
import type { OpSpec } from "./types.ts";

/** Every op by name. */
export const OPS: Readonly<Record<string, OpSpec>> = {
  ...LEAVES,
  ...POINTWISE,
  ...REDUCE,
  ...MOVEMENT,
  ...INDEXED,
  ...CONTRACTION,
  ...ATTENTION,
  ...CACHED,
  ...COMPOSITE,
};

/**
 * Result type of an op.
 *
 * @throws {ShapeError} naming the op, what does not fit, and the user's source line when it is known.
 */
export function inferType(
  op: string,
  inputs: readonly TensorType[],
  attrs: Attrs,
  site?: string,
): TensorType {
  const spec = OPS[op];
  if (!spec) throw new ShapeError(op, "there is no such op", site);
  try {
    const type = spec.infer(inputs, attrs);
    if (type.shape.some((size) => !Number.isInteger(size) || size < 1)) {
      throw new Error(`shape [${type.shape}] has a size that is no positive integer`);
    }
    return type;
  } catch (error) {
    if (error instanceof ShapeError) throw error;
    throw new ShapeError(op, (error as Error).message, site);
  }
}
