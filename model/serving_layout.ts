/**
 * Parameters as generation wants them: the weights of linear layers stored output by output instead of input by input. A
 * product with few rows reads each weight once; along its summed axis it reads a few long streams, across it it touches
 * another page with every step (lavapipe, one row: 5.8 against 2.7 GB/s). Everything else is as in training.
 *
 * @module
 */
import { scope, type Tensor } from "../compiler/mod.ts";
import type { StateStore } from "../runtime/mod.ts";
import { arenaNames, type Parameter, type ParameterLayout, unpack } from "./params.ts";
import type { Precision } from "./precision.ts";

/** True for the weights of linear layers, [in, out]; embeddings are read by rows already. */
function isTurned({ name, shape }: Pick<Parameter, "name" | "shape">): boolean {
  return shape.length === 2 && !/^w[tp]e\./.test(name);
}

/** Writes flat parameters, as training has them, into the states of generation's programs. */
export function writeServing(
  states: StateStore,
  layout: ParameterLayout,
  flat: Float32Array,
  dtype: Precision = "f32",
): void {
  const turned = toServingLayout(layout, flat);
  const names = arenaNames(layout, "params");
  layout.arenas.forEach(({ start, end }, i) =>
    states.write(names[i], 0, rounded(turned.subarray(start, end), dtype))
  );
}

/** The nearest numbers of a dtype, as they lie in memory; ties go to even. */
function rounded(values: Float32Array, dtype: Precision): ArrayBufferView {
  if (dtype === "f32") return values;
  if (dtype === "f16") return new Float16Array(values);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  words.forEach((word, i) => halves[i] = (word + 0x7fff + (word >>> 16 & 1)) >>> 16);
  return halves;
}

/** Flat parameters with every linear weight turned; `flat` itself is left alone. */
function toServingLayout({ parameters }: ParameterLayout, flat: Float32Array): Float32Array {
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

/**
 * Parameters by name, as the model's code knows them, from arenas in serving layout. Only views; numbers of 16 bits become
 * f32 where they are read, so nothing but the parameters themselves is rounded.
 */
export function unpackServing(layout: ParameterLayout, arenas: readonly Tensor[]): Record<string, Tensor> {
  const tensors = Object.fromEntries(
    Object.entries(unpack(layout, arenas)).map((
      [name, tensor],
    ) => [name, scope(name, () => tensor.cast("f32"))]),
  );
  for (const { name, shape: [rows, cols] } of layout.parameters.filter(isTurned)) {
    tensors[name] = scope(name, () => tensors[name].reshape([cols, rows]).transpose());
  }
  return tensors;
}
