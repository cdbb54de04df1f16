/**
 * Graph IR: what the tracer captures and every pass up to fusion rewrites. A graph is an SSA list of nodes with static
 * shape and dtype; a node's id is its position, and its inputs come before it. Binary operations take equal shapes
 * (broadcasts are nodes), so a pass never has to think about implicit rules.
 *
 * @module
 */
import type { DType } from "./dtype.ts";
import { inferType } from "./ops/mod.ts";
import type { Shape } from "./shape.ts";

export { type Shape, sizeOf } from "./shape.ts";

/** Position of a node in its graph. */
export type NodeId = number;

/** What a node yields. */
export interface TensorType {
  /** Sizes of the axes. */
  readonly shape: Shape;
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Static parameters of a node: axes, names, constants. */
export type Attrs = Readonly<Record<string, number | string | boolean | readonly number[]>>;

/** Where a node comes from: the key to following a model's line into its kernels and back. */
export interface Origin {
  /** The user's source line, `path/file.ts:12`. */
  readonly site?: string;
  /** The module path, such as `h.3.mlp`. */
  readonly scope: string;
  /** The part of the training step that it belongs to. */
  readonly phase: "forward" | "backward" | "optimizer";
  /**
   * The node of the forward pass that this one computes again, just before the backward pass reads it; its own id where
   * nothing else reads what it computes, and it is only computed later than it could be.
   */
  readonly recomputes?: NodeId;
}

/** One operation of a graph. */
export interface Node extends TensorType {
  /** Position in the graph. */
  readonly id: NodeId;
  /** Name in the op table. */
  readonly op: string;
  /** Nodes that it reads, in the op's order. */
  readonly inputs: readonly NodeId[];
  /** Static parameters. */
  readonly attrs: Attrs;
  /** Where it comes from. */
  readonly origin: Origin;
}

/**
 * Where an input's values live. `state` stays on the device between runs (parameters, moments), `batch` is uploaded
 * for each run, `scalar` (shape `[]`) sits in one small buffer so that changing it never recompiles.
 */
export type InputRole = "state" | "batch" | "scalar";

/** A named result; with `donates` it overwrites the storage of the state input of that name. */
export interface GraphOutput {
  /** Name of the result. */
  readonly name: string;
  /** Node that yields it. */
  readonly node: NodeId;
  /** State input that it overwrites. */
  readonly donates?: string;
}

/** A whole program, before it is cut into kernels. */
export interface Graph {
  /** Nodes in an order in which they can be computed. */
  readonly nodes: readonly Node[];
  /** Named results. */
  readonly outputs: readonly GraphOutput[];
}

const FORWARD: Origin = { scope: "", phase: "forward" };

/**
 * Appends nodes to a graph under construction, inferring and checking each one's type from the op table.
 *
 * @example
 * ```ts
 * import { GraphBuilder } from "./graph.ts";
 * const builder = new GraphBuilder();
 * const x = builder.add("input", [], { name: "x", role: "batch", shape: [2, 3], dtype: "f32" });
 * builder.outputs.push({ name: "y", node: builder.add("exp", [x]) });
 * const graph = builder.finish();
 * ```
 */
export class GraphBuilder {
  /** The nodes so far. */
  readonly nodes: Node[] = [];
  /** The outputs so far; the caller pushes to it. */
  readonly outputs: GraphOutput[] = [];
  /** Origin given to nodes that are added without one. */
  origin: Origin = FORWARD;

  /**
   * Adds a node and returns its id.
   *
   * @throws {ShapeError} when the op table refuses the input types or attributes.
   */
  add(op: string, inputs: readonly NodeId[], attrs: Attrs = {}, origin: Origin = this.origin): NodeId {
    const types = inputs.map((id) => this.nodes[id]);
    const { shape, dtype } = inferType(op, types, attrs, origin.site);
    const id = this.nodes.length;
    this.nodes.push({ id, op, inputs, attrs, shape, dtype, origin });
    return id;
  }

  /** The finished graph. The builder must not be used afterwards. */
  finish(): Graph {
    return { nodes: this.nodes, outputs: this.outputs };
  }
}
