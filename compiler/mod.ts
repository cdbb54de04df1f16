/**
 * Sinter's compiler: a function over tensors in, a program of WGSL kernels out. Pure and synchronous; it never touches a
 * device, which `compile` is given by its caller. `compiler/README.md` walks one small function through all of it. Read
 * the files in the order of the pipeline: `trace`, `differentiate`, `decompose`, `simplify`, `split`, `fuse`, `storage`,
 * `lower_work`, `order`, `plan`, `emit`; `compile` puts them together, `jit` runs what they make.
 *
 * @example A training step, as a program of kernels
 * ```ts
 * import { BASELINE, compileGraph, grad, trace } from "./mod.ts";
 *
 * const graph = trace(({ w, x, y }) => {
 *   const loss = x.matmul(w).sub(y).pow(2).mean();
 *   return { loss, w: w.sub(grad(loss, [w])[0].mul(0.1)) };
 * }, {
 *   w: { shape: [3, 1], dtype: "f32", role: "state" },
 *   x: { shape: [8, 3], dtype: "f32", role: "batch" },
 *   y: { shape: [8, 1], dtype: "f32", role: "batch" },
 * }, { donates: { w: "w" } });
 * const program = compileGraph(graph, BASELINE);
 * console.log(program.kernels.map((kernel) => kernel.name), program.memory.peakBytes);
 * ```
 *
 * @module
 */
export { BASELINE, type Capabilities, LAVAPIPE } from "./capabilities.ts";
export {
  type Compilation,
  compileGraph,
  type CompileOptions,
  compileStages,
  type SimplifyPass,
} from "./compile.ts";
export { decompose, type Keep } from "./decompose.ts";
export { grad } from "./differentiate.ts";
export { bytesPerElement, type DType, DTYPES, isFloat, isHalf } from "./dtype.ts";
export {
  BindingError,
  GraphError,
  InternalError,
  LimitError,
  MemoryBudgetError,
  ShapeError,
} from "./errors.ts";
export { explain, type Stage, STAGES } from "./explain.ts";
export {
  type ProgramReport,
  reportDispatches,
  type ReportedDispatch,
  type ReportedGroup,
  reportOf,
} from "./report.ts";
export type { Boundary, Fusion, Group, GroupKind, Mode, Optimization } from "./fusion.ts";
export {
  type Attrs,
  type Graph,
  GraphBuilder,
  type GraphOutput,
  type InputRole,
  type Node,
  type NodeId,
  type Origin,
  type Shape,
  sizeOf,
  type TensorType,
} from "./graph.ts";
export { hashGraph } from "./hash.ts";
export type { Atom, IndexExpr, Term } from "./index_expr.ts";
export {
  type CallArguments,
  compile,
  type Compiled,
  type Device,
  type DeviceProgram,
  type DeviceStates,
  type HostArray,
  type JitOptions,
  type StateSpec,
  type StateSpecs,
  type TensorData,
} from "./jit.ts";
export { ParseError, parseGraph } from "./parse.ts";
export { printGraph, printNode, type PrintOptions } from "./print.ts";
export type {
  BufferPlan,
  BufferRange,
  Dispatch,
  KeptValue,
  KernelSource,
  KernelTemplate,
  MemoryPlan,
  Program,
  ProgramScalar,
  ProgramTensor,
  Recomputation,
} from "./program.ts";
export { type ProbedGraph, probeFinite } from "./probe.ts";
export { evaluate, type HostValues } from "./reference.ts";
export { type AppliedRule, simplify, type SimplifyOptions } from "./simplify.ts";
export { concat, constant, iota, type Operand, type ReduceOptions, Tensor, where } from "./tensor.ts";
export { attention, cachedAttention } from "./tensor_attention.ts";
export { randomBits, randomNormal, randomUniform } from "./tensor_random.ts";
export type { Body, Instruction, Store, ValueId } from "./kernel.ts";
export type { KernelIR, Operand as KernelOperand } from "./lower_work.ts";
export type { Placement } from "./plan.ts";
export type { Tunable, Variant } from "./emit.ts";
export { type Schedule, type ScheduleLookup, scheduleText } from "./wgsl/template.ts";
export type { Home, Root, Storage, Work } from "./storage.ts";
export { phase, scope, type TraceContext } from "./trace_context.ts";
export { type InputSpec, trace, type TraceOptions } from "./trace.ts";
export { InvalidGraphError, verifyGraph } from "./verify.ts";
