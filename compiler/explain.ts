/**
 * Each stage of a compilation as text for a terminal: the forward graph, the joint graph of forward, backward and optimizer as it was
 * traced, the simplified one, groups with their reasons, Kernel IR, WGSL, the
 * memory plan, and what is kept or recomputed for the backward pass.
 *
 * @module
 */
import type { Compilation } from "./compile.ts";
import { type Graph, GraphBuilder, type NodeId } from "./graph.ts";
import { printGraph } from "./print.ts";
import type { KeptValue } from "./program.ts";
import { keptValues } from "./recompute.ts";
import { rootBytes } from "./storage.ts";

/** The stages that can be shown, in the order of the pipeline. */
export const STAGES = [
  "graph",
  "joint",
  "simplified",
  "groups",
  "kernels",
  "wgsl",
  "plan",
  "recompute",
] as const;

/** Name of a stage. */
export type Stage = typeof STAGES[number];

/**
 * The text of one stage.
 *
 * @example
 * ```ts
 * import { BASELINE, compileStages, explain, trace } from "@sinter/sinter/compiler";
 * const graph = trace(({ x }) => ({ y: x.softmax() }), { x: { shape: [8, 64], dtype: "f32", role: "batch" } });
 * console.log(explain(compileStages(graph, BASELINE), "kernels"));
 * ```
 */
export function explain(compilation: Compilation, stage: Stage): string {
  switch (stage) {
    case "graph":
      return printGraph(forwardOf(compilation.graph));
    case "joint":
      return printGraph(compilation.graph);
    case "simplified":
      return printGraph(compilation.simplified);
    case "groups":
      return explainGroups(compilation);
    case "kernels":
      return compilation.program.kernels.map((kernel, i) => `${usesText(compilation, i)}${kernel.ir}`).join(
        "\n",
      );
    case "wgsl":
      return compilation.program.kernels.map((kernel, i) => `${usesText(compilation, i)}${kernel.wgsl}`).join(
        "\n",
      );
    case "plan":
      return explainPlan(compilation);
    case "recompute":
      return explainRecomputation(compilation);
  }
}

/** The forward part of a traced graph: what the user wrote, before gradients and optimizer. */
function forwardOf(graph: Graph): Graph {
  const builder = new GraphBuilder();
  const moved = new Map<NodeId, NodeId>();
  const read = new Set<NodeId>();
  for (const node of graph.nodes) {
    if (node.origin.phase !== "forward") continue;
    if (node.inputs.some((input) => !moved.has(input))) continue;
    for (const input of node.inputs) read.add(input);
    builder.origin = node.origin;
    moved.set(node.id, builder.add(node.op, node.inputs.map((input) => moved.get(input)!), node.attrs));
  }
  for (const output of graph.outputs) {
    const node = moved.get(output.node);
    if (node !== undefined) builder.outputs.push({ name: output.name, node });
  }
  const named = new Set(builder.outputs.map((output) => output.node));
  // Results that only the backward pass or the optimizer reads have no output of their own.
  for (const [id, node] of moved) {
    if (!read.has(id) && graph.nodes[id].op !== "input" && !named.has(node)) {
      builder.outputs.push({ name: `value${id}`, node });
    }
  }
  return builder.finish();
}

function usesText({ program }: Compilation, kernel: number): string {
  const uses = program.dispatches.filter((dispatch) => dispatch.kernel === kernel);
  const bytes = uses.reduce((sum, dispatch) => sum + dispatch.bytes, 0);
  const flops = uses.reduce((sum, dispatch) => sum + dispatch.flops, 0);
  return `// ${program.kernels[kernel].name}: ${uses.length} x, moves ${megabytes(bytes)}, ` +
    `${(flops / 1e6).toFixed(1)} Mflop\n`;
}

function explainGroups({ fusion, storage, order, program }: Compilation): string {
  const { graph } = fusion;
  const lines: string[] = [];
  const boundariesInto = new Map<number, string[]>();
  for (const { producer, consumer, reason } of fusion.boundaries) {
    const group = fusion.groupOf[consumer];
    const line = `%${producer} ${graph.nodes[producer].op} -> %${consumer} ${
      graph.nodes[consumer].op
    }: ${reason}`;
    const known = boundariesInto.get(group);
    if (known) known.push(line);
    else boundariesInto.set(group, [line]);
  }
  for (const id of order) {
    const { group, stores, copyOf } = storage.works[id];
    const stored = stores.map(({ node }) => `%${node}`).join(", ");
    if (!group) {
      lines.push(`${copyOf === undefined ? "copy of a view or constant" : "copy"} -> ${stored}`, "");
      continue;
    }
    const dispatches = program.dispatches.filter((dispatch) => dispatch.group === group.id);
    const scopes = [...new Set(group.nodes.map((node) => graph.nodes[node].origin.scope).filter(Boolean))];
    const space = group.reduced > 1 ? `${group.parallel} x ${group.reduced}` : String(group.parallel);
    lines.push(
      `group ${group.id}  ${group.kind}  ${space}  ${scopes.join(" ")}` +
        `  [${dispatches.map(({ kernel }) => program.kernels[kernel].name).join(", ")}]`,
    );
    lines.push(`  because: ${reasonOf(group.kind, group.nodes.length)}`);
    for (const node of group.nodes) {
      const { op, shape, dtype, inputs } = graph.nodes[node];
      const kept = stores.some((store) => store.node === node) ? "  (stored)" : "";
      lines.push(
        `  %${node}: ${dtype}[${shape}] = ${op} ${inputs.map((input) => `%${input}`).join(" ")}${kept}`,
      );
    }
    for (const boundary of new Set(boundariesInto.get(group.id) ?? [])) lines.push(`  boundary ${boundary}`);
    lines.push("");
  }
  lines.push(
    `${program.dispatches.length} dispatches of ${program.kernels.length} kernels; ` +
      `${fusion.inline.size} nodes are computed again where they are read instead of stored`,
  );
  return lines.join("\n") + "\n";
}

function reasonOf(kind: string, nodes: number): string {
  const others = nodes > 1 ? `; ${nodes - 1} more nodes work on the same positions` : "";
  switch (kind) {
    case "pointwise":
      return `elements do not depend on each other${others}`;
    case "row":
      return `reductions along rows, with what surrounds them on the same rows${others}`;
    case "column":
      return `reductions down the columns of the same rows${others}`;
    case "matmul":
      return `a product starts a kernel; its epilogue works on the tile in registers${others}`;
    case "attention":
      return `attention in tiles, with its online softmax; scores never reach memory${others}`;
    case "segment":
      return `a sum whose addresses are data${others}`;
    default:
      return `an op of its own kind${others}`;
  }
}

function explainPlan({ storage, placement, program, kernels }: Compilation): string {
  const { memory } = program;
  const lines = [
    `peak ${megabytes(memory.peakBytes)}, lower bound ${megabytes(memory.lowerBoundBytes)} ` +
    `(${(memory.peakBytes / memory.lowerBoundBytes).toFixed(3)} x), without reuse ${
      megabytes(memory.naiveBytes)
    }`,
    "",
    "buffers:",
    ...program.buffers.map((buffer, i) =>
      `  ${i}  ${buffer.kind.padEnd(8)} ${buffer.name.padEnd(16)} ${megabytes(buffer.bytes)}`
    ),
    "",
    "arena (alive from dispatch to dispatch, at offset):",
  ];
  const alive = [...placement.lifetimes].sort((a, b) => a[1][0] - b[1][0]);
  for (const [id, [first, last]] of alive) {
    const root = storage.roots[id];
    const guests = placement.owner.filter((owner) => owner === id).length - 1;
    const shared = guests > 0 ? `  then ${guests} more in place` : "";
    lines.push(
      `  ${root.name.padEnd(8)} ${`${first}-${last}`.padEnd(10)} ` +
        `${String(placement.at[id].offset).padStart(12)} ${megabytes(rootBytes(root)).padStart(12)}${shared}`,
    );
  }
  const stored = kernels.reduce((sum, kernel) => sum + kernel.body.stores.length, 0);
  lines.push("", `${kernels.length} works store ${stored} tensors; ${program.dispatches.length} dispatches`);
  return lines.join("\n") + "\n";
}

/** What the backward pass computes again and what waits for it, with bytes and the price of computing it. */
function explainRecomputation(compilation: Compilation): string {
  const { program: { memory, recomputation } } = compilation;
  const list = (values: readonly KeptValue[]) =>
    values.map(({ node, op, scope, shape, dtype, bytes, multiplyAdds }) =>
      `  ${`%${node}`.padEnd(7)} ${megabytes(bytes).padStart(10)} ${millions(multiplyAdds).padStart(12)}  ` +
      `${scope || "-"}  ${op} ${dtype}[${shape}]`
    );
  const sum = (values: readonly KeptValue[]) =>
    megabytes(values.reduce((total, { bytes }) => total + bytes, 0));
  const kept = recomputation?.kept ?? keptValues(compilation);
  const again = recomputation?.recomputed ?? [];
  const head = recomputation
    ? `peak ${megabytes(memory.peakBytes)} of ${megabytes(recomputation.budgetBytes)}; it would be ` +
      `${megabytes(recomputation.unlimitedPeakBytes)} if all were kept; ` +
      `${millions(recomputation.multiplyAdds)} are computed again, ` +
      `+${(recomputation.share * 100).toFixed(1)}% arithmetic`
    : `peak ${
      megabytes(memory.peakBytes)
    }; no budget of memory was given: all that is not cheaper to compute than to ` +
      "load is kept";
  return [
    head,
    "",
    `computed again for the backward pass: ${again.length} values, ${sum(again)} (node, bytes, price)`,
    ...list(again),
    "",
    `kept for the backward pass: ${kept.length} values, ${
      sum(kept)
    } (node, bytes, price of computing it again)`,
    ...list(kept),
    "",
  ].join("\n");
}

function millions(multiplyAdds: number): string {
  return `${(multiplyAdds / 1e6).toFixed(1)} Mmad`;
}

function megabytes(bytes: number): string {
  return bytes < 1e5 ? `${bytes} B` : `${(bytes / 1e6).toFixed(1)} MB`;
}
