/**
 * Shapes of tensors. Apart from the graph, so that rows of the op table can use them without importing what imports the
 * op table.
 *
 * @module
 */

/** Sizes of a tensor's axes, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}
