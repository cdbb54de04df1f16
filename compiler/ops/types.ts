/**
 * What an op states about itself, exactly once: the form of a row of the op table.
 *
 * @module
 */
import type { Capabilities } from "../capabilities.ts";
import type { DType } from "../dtype.ts";
import type { Attrs, TensorType } from "../graph.ts";
import type { Tensor } from "../tensor.ts";

/** The class of an op decides how the fuser treats it. */
export type OpClass =
  | "leaf"
  | "pointwise"
  | "reduce"
  | "movement"
  | "indexed"
  | "contraction"
  | "attention"
  | "composite";

/** A tensor's values on the host: the reference computes everything in float64. */
export interface HostTensor extends TensorType {
  readonly data: Float64Array;
}

/** Type of an expression in a kernel: `dtype` of the first argument (floats are f32), scalar or vec4. */
export interface RegisterType {
  readonly dtype: DType;
  readonly lanes: 1 | 4;
}

/** One row of the op table. */
export interface OpSpec {
  /** The op's class. */
  readonly class: OpClass;
  /** Result type from input types. Throws a plain `Error` with the problem in words; the caller adds op and site. */
  infer(inputs: readonly TensorType[], attrs: Attrs): TensorType;
  /**
   * Cotangents of the inputs, given that of the output: a function that builds graph. An `undefined` entry means that
   * no gradient flows there. Absent on ops that are not differentiable.
   */
  vjp?(cotangent: Tensor, output: Tensor, inputs: readonly Tensor[], attrs: Attrs): (Tensor | undefined)[];
  /** Reference meaning in float64, row-major. Ops with a decomposition have none: the reference runs that. */
  evaluate?(inputs: readonly HostTensor[], attrs: Attrs, output: TensorType): Float64Array;
  /** WGSL expression of a pointwise op over argument expressions of equal lanes. */
  wgsl?(args: readonly string[], type: RegisterType, attrs: Attrs): string;
  /** Rough cost of a pointwise op in multiply-adds, for the fuser's decisions. Default 1. */
  readonly cost?: number;
  /** A composite, or an op whose template is not used, in terms of other ops; may depend on the target's limits. */
  decompose?(inputs: readonly Tensor[], attrs: Attrs, target: Capabilities): Tensor;
}
