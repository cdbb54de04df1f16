/**
 * Reverse-mode differentiation of the graph being traced: walks back from a scalar and adds, for each node on the way,
 * the nodes of its gradient. Forward and backward end up in one joint graph, so the fuser sees both.
 *
 * @module
 */
import { isFloat } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import type { NodeId } from "./graph.ts";
import { OPS } from "./ops/mod.ts";
import { constant, fromNode, type Tensor } from "./tensor.ts";

/**
 * Gradients of the scalar `loss` by each tensor of `wrt`, in their shapes. A tensor that the loss does not depend on gets
 * zeros.
 *
 * @throws {ShapeError} when the loss is no float scalar, a tensor of `wrt` holds no floats, or an op on the way has no
 *   gradient.
 * @example
 * ```ts
 * import { grad } from "./differentiate.ts";
 * import { trace } from "./trace.ts";
 * const graph = trace(({ w, x }) => {
 *   const loss = x.matmul(w).tanh().mean();
 *   return { loss, dw: grad(loss, [w])[0] };
 * }, {
 *   w: { shape: [3, 2], dtype: "f32", role: "state" },
 *   x: { shape: [8, 3], dtype: "f32", role: "batch" },
 * });
 * ```
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const { context } = loss;
  const refuse = (problem: string) => new ShapeError("grad", problem, context.origin().site);
  if (loss.shape.length > 0 || !isFloat(loss.dtype)) {
    throw refuse(`the loss must be a float scalar, not ${loss.dtype}[${loss.shape}]`);
  }
  for (const { dtype, shape, context: owner } of wrt) {
    if (!isFloat(dtype)) throw refuse(`there is no gradient by ${dtype}[${shape}]: only floats have one`);
    if (owner !== context) throw refuse("loss and tensors belong to different traces");
  }
  return context.withPhase("backward", () => {
    const { nodes } = context.builder;
    const needed = reachedFrom(wrt.map((tensor) => tensor.id), loss);
    const cotangents = new Map<NodeId, Tensor>([[loss.id, constant(1, loss.dtype)]]);
    for (let id = loss.id; id >= 0; id--) {
      const cotangent = cotangents.get(id);
      if (!cotangent || !needed.has(id)) continue;
      const node = nodes[id];
      if (!node.inputs.some((input) => needed.has(input))) continue;
      const { vjp } = OPS[node.op];
      if (!vjp) throw new ShapeError("grad", `${node.op} has no gradient`, node.origin.site);
      context.withOrigin({ ...node.origin, phase: "backward" }, () => {
        const inputs = node.inputs.map((input) => fromNode(context, input));
        const parts = vjp(cotangent, fromNode(context, id), inputs, node.attrs);
        node.inputs.forEach((input, i) => {
          const part = parts[i];
          if (!part || !needed.has(input)) return;
          const known = cotangents.get(input);
          cotangents.set(input, known ? known.add(part) : part);
        });
      });
    }
    return wrt.map((tensor) =>
      cotangents.get(tensor.id) ?? constant(0, tensor.dtype).broadcastTo(tensor.shape)
    );
  });
}

/** Nodes that depend on one of `from`, themselves included, through float values. */
function reachedFrom(from: readonly NodeId[], loss: Tensor): Set<NodeId> {
  const reached = new Set(from);
  for (const node of loss.context.builder.nodes) {
    if (isFloat(node.dtype) && node.inputs.some((input) => reached.has(input))) reached.add(node.id);
  }
  return reached;
}
