/**
 * Parameters as generation wants them: the weights of linear layers stored output by output instead of input by input. A
 * product with few rows reads each weight once; along its summed axis it reads a few long streams, across it it touches
 * another page with every step (lavapipe, one row: 5.8 against 2.7 GB/s). Everything else is as in training.
 *
 * @module
 */
import { scope, type Tensor } from "../compiler/mod.ts";
import type { Parameter, ParameterLayout } from "./params.ts";
import { unpack } from "./params.ts";

/** True for the weights of linear layers, [in, out]; embeddings are read by rows already. */
function isTurned({ name, shape }: Pick<Parameter, "name" | "shape">): boolean {
  return shape.length === 2 && !/^w[tp]e\./.test(name);
}

/** Flat parameters with every linear weight turned; `flat` itself is left alone. */
export function toServingLayout({ parameters }: ParameterLayout, flat: Float32Array): Float32Array {
  const turned = Float32Array.from(flat);
  for (const parameter of parameters.filter(isTurned)) {
    const { offset, size, shape: [rows, cols] } = parameter;
    transpose(flat.subarray(offset, offset + size), turned.subarray(offset, offset + size), rows, cols);
  }
  return turned;
}

/** Rows and columns that are turned together, so that both sides stay in the processor's cache. */
const BLOCK = 32;

function transpose(from: Float32Array, to: Float32Array, rows: number, cols: number): void {
  for (let top = 0; top < rows; top += BLOCK) {
    const bottom = Math.min(rows, top + BLOCK);
    for (let left = 0; left < cols; left += BLOCK) {
      const right = Math.min(cols, left + BLOCK);
      for (let row = top; row < bottom; row++) {
        for (let col = left; col < right; col++) to[col * rows + row] = from[row * cols + col];
      }
    }
  }
}

/** Parameters by name, as the model's code knows them, from arenas in serving layout. Only views. */
export function unpackServing(layout: ParameterLayout, arenas: readonly Tensor[]): Record<string, Tensor> {
  const tensors = unpack(layout, arenas);
  for (const { name, shape: [rows, cols] } of layout.parameters.filter(isTurned)) {
    tensors[name] = scope(name, () => tensors[name].reshape([cols, rows]).transpose());
  }
  return tensors;
}
