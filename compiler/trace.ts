/**
 * Captures a function over tensors as Graph IR. The function runs once, with tensors that have shapes but no values.
 *
 * @module
 */
import type { DType } from "./dtype.ts";
import { GraphError } from "./errors.ts";
import { type Graph, GraphBuilder, type InputRole, type Shape } from "./graph.ts";
import { fromNode, Tensor } from "./tensor.ts";
import { TraceContext, withContext } from "./trace_context.ts";

/** What a function takes. */
export interface InputSpec {
  /** Sizes of its axes; a scalar input has `[]`. */
  readonly shape: Shape;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Where its values live between runs. */
  readonly role: InputRole;
}

/** Options of {@link trace}. */
export interface TraceOptions {
  /** Output name to state input name: the output becomes the state's new value, in place. */
  readonly donates?: Readonly<Record<string, string>>;
}

/**
 * Traces `fn` to a graph.
 *
 * @throws {ShapeError} from the call in `fn` whose shapes or dtypes do not fit.
 * @throws {GraphError} when an output is no tensor of this trace, or a donation names a tensor that does not exist,
 *   differs in type, or is taken twice.
 * @example
 * ```ts
 * import { trace } from "./trace.ts";
 * const graph = trace(({ x }) => ({ y: x.mul(2).add(1) }), {
 *   x: { shape: [3], dtype: "f32", role: "batch" },
 * });
 * ```
 */
export function trace<K extends string>(
  fn: (inputs: Record<K, Tensor>) => Record<string, Tensor>,
  specs: Readonly<Record<K, InputSpec>>,
  { donates = {} }: TraceOptions = {},
): Graph {
  const builder = new GraphBuilder();
  const context = new TraceContext(builder);
  return withContext(context, () => {
    const inputs = {} as Record<K, Tensor>;
    for (const name of Object.keys(specs) as K[]) {
      const { shape, dtype, role } = specs[name];
      inputs[name] = fromNode(context, context.add("input", [], { name, role, shape, dtype }));
    }
    const results = fn(inputs);
    for (const [name, state] of Object.entries(donates)) {
      checkDonation(name, state, specs, results);
      const other = Object.keys(donates).find((key) => donates[key] === state);
      if (other !== name) throw new GraphError(`outputs ${other} and ${name} both donate ${state}`);
    }
    for (const [name, tensor] of Object.entries(results)) {
      if (!(tensor instanceof Tensor) || tensor.context !== context) {
        throw new GraphError(`output ${name} is not a tensor of this trace`);
      }
      const donated = donates[name];
      builder.outputs.push({ name, node: tensor.id, ...(donated ? { donates: donated } : {}) });
    }
    context.close();
    return builder.finish();
  });
}

function checkDonation(
  name: string,
  state: string,
  specs: Readonly<Record<string, InputSpec>>,
  results: Readonly<Record<string, Tensor>>,
): void {
  const result = results[name];
  const spec = specs[state];
  if (!result) throw new GraphError(`output ${name} donates ${state}, but there is no such output`);
  if (spec?.role !== "state") {
    throw new GraphError(`output ${name} donates ${state}, which is no state input`);
  }
  if (result.dtype !== spec.dtype || result.shape.join() !== spec.shape.join()) {
    throw new GraphError(
      `output ${name} is ${result.dtype}[${result.shape}] but donates ${state}, ${spec.dtype}[${spec.shape}]`,
    );
  }
}
