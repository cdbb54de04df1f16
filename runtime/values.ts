/**
 * Tensors on the host: which typed array stands for which dtype, and how scalars are laid out.
 *
 * @module
 */
import type { DType } from "../compiler/dtype.ts";
import { BindingError } from "../compiler/errors.ts";
import { sizeOf } from "../compiler/graph.ts";
import type { TensorData } from "../compiler/jit.ts";
import type { ProgramScalar, ProgramTensor } from "../compiler/program.ts";

export type { TensorData };

const ARRAYS = {
  f32: Float32Array,
  f16: Float16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint32Array,
} as const satisfies Record<DType, unknown>;

/** Interprets bytes that came from the device; bf16, for which there is no array, becomes f32. */
export function toTensorData(bytes: Uint8Array<ArrayBuffer>, dtype: DType): TensorData {
  if (dtype === "bf16") return fromBf16(new Uint16Array(bytes.buffer));
  return new ARRAYS[dtype](bytes.buffer);
}

/** A bf16 is the upper half of an f32. */
function fromBf16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
}

/**
 * Checks that `data` are values of `tensor`.
 *
 * @throws {BindingError} naming the array type or number of elements that was expected.
 */
export function checkTensorData(program: string, tensor: ProgramTensor, data: TensorData): void {
  const { name, dtype, shape } = tensor;
  const expected = ARRAYS[dtype];
  const bits = dtype === "f16" && data instanceof Uint16Array;
  if (!(data instanceof expected) && !bits) {
    const given = (data as object | undefined)?.constructor?.name ?? typeof data;
    throw new BindingError(program, name, `is ${dtype} and takes a ${expected.name}, not a ${given}`);
  }
  const elements = sizeOf(shape);
  if (data.length !== elements) {
    const text = `[${shape.join(", ")}]`;
    throw new BindingError(program, name, `has shape ${text}: ${elements} elements, not ${data.length}`);
  }
}

/**
 * Writes a scalar into the host's copy of the scalars buffer.
 *
 * @throws {BindingError} when it is no value of the scalar's dtype.
 */
export function setScalar(program: string, view: DataView, scalar: ProgramScalar, value: number): void {
  const { name, dtype, offset } = scalar;
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new BindingError(program, name, `is no number: ${value}`);
  }
  if (dtype === "f32") return view.setFloat32(offset, value, true);
  if (dtype === "f16") return view.setFloat16(offset, value, true);
  const [least, most] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, dtype === "bool" ? 1 : 2 ** 32 - 1];
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new BindingError(
      program,
      name,
      `is ${dtype}, a whole number from ${least} to ${most}, not ${value}`,
    );
  }
  if (dtype === "i32") view.setInt32(offset, value, true);
  else view.setUint32(offset, value, true);
}
