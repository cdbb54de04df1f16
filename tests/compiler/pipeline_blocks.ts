/**
 * What the code blocks of compiler/README.md have to say: the stages of `compiler/examples/pipeline.ts`.
 *
 * @module
 */
import { compilation, graph } from "../../compiler/examples/pipeline.ts";
import { type AppliedRule, evaluate, explain, type Graph, printGraph, simplify } from "../../compiler/mod.ts";
import { printNode } from "../../compiler/print.ts";
import { RULES } from "../../compiler/rewrite/rules.ts";
import { trafficOf } from "../../compiler/order.ts";

/** compiler/README.md. */
export const PIPELINE = new URL("../../compiler/README.md", import.meta.url);

const { decomposed, simplified, storage, kernels, order, program } = compilation;
const LOSS = "row_max";

/** What each named block has to be, but for the example itself. */
export function pipelineBlocks(): Map<string, string> {
  const text = printGraph(graph);
  const firstBackward = text.search(/^.*#b/m);
  return new Map(
    Object.entries({
      trace: text.slice(0, firstBackward),
      gradient: text.slice(firstBackward),
      decomposed: fragment(decomposed, "max", "neg"),
      rules: rules(),
      simplified: printGraph(simplified, { origins: false }),
      groups: explain(compilation, "groups"),
      storage: homes(),
      kernel: kernelOf("kernels"),
      order: traffic(),
      plan: explain(compilation, "plan"),
      shader: kernelOf("wgsl"),
      launches: launches(),
      reference: reference(),
    }).map(([name, block]) => [name, `${block.trimEnd()}\n`]),
  );
}

/** From the first node of one op to the first of another. */
function fragment({ nodes }: Graph, from: string, to: string): string {
  const first = nodes.findIndex(({ op }) => op === from);
  const last = nodes.findIndex(({ op }) => op === to);
  return nodes.slice(first, last + 1).map(printNode).join("\n");
}

/** The rules that were applied, each with the node before and the one that stands for it; equal nodes are counted. */
function rules(): string {
  const applied: AppliedRule[] = [];
  const after = simplify(decomposed, { record: (rule) => applied.push(rule) });
  const shown = applied.filter(({ rule }) => rule !== "common-subexpression");
  const lines = shown.flatMap(({ rule, node, replacement }) => [
    `${rule}: ${RULES.find(({ name }) => name === rule)!.why}`,
    `  before  ${printNode(decomposed.nodes[node])}`,
    `  after   ${
      replacement === undefined ? "simplified away in turn" : printNode(after.nodes[replacement])
    }`,
  ]);
  const shared = applied.length - shown.length;
  const counts = `${decomposed.nodes.length} nodes become ${after.nodes.length}`;
  return [...lines, `common-subexpression: ${shared} nodes were there already`, counts].join("\n");
}

/** Allocations, and what each kernel to be stores where. */
function homes(): string {
  const roots = storage.roots.map(({ id, kind, name, elements, dtype }) =>
    `#${id}  ${kind.padEnd(7)} ${name.padEnd(5)} ${dtype}[${elements}]`
  );
  const works = storage.works.map(({ id, group, copyOf, stores, after }) => {
    const what = group ? `group ${group.id}` : `copy of #${copyOf}`;
    const where = stores.map(({ node, homes }) =>
      `%${node} to ${homes.map(({ root }) => `#${root}`).join(", ")}`
    );
    const wait = after.size > 0 ? `, after work ${[...after].join(", ")}` : "";
    return `work ${id}  ${what}: stores ${where.join("; ")}${wait}`;
  });
  return [...roots, "", ...works].join("\n");
}

/** What each kernel reads and writes, in the order in which they run. */
function traffic(): string {
  const names = (roots: ReadonlySet<number>) =>
    [...roots].map((id) => `${storage.roots[id].name}#${id}`).join(" ");
  return kernels.map((kernel, i) => {
    const { reads, writes } = trafficOf(kernel);
    return `${i}  work ${order[i]}  ${kernel.title.padEnd(32)} reads ${names(reads).padEnd(16)} writes ${
      names(writes)
    }`;
  }).join("\n");
}

/** The loss's kernel out of a stage that lists them all. */
function kernelOf(stage: "kernels" | "wgsl"): string {
  return explain(compilation, stage).split(/^(?=\/\/ \w+: \d+ x, )/m).find((text) =>
    text.startsWith(`// ${LOSS}`)
  )!;
}

/** The finished program, launch by launch. */
function launches(): string {
  return program.dispatches.map(({ kernel, ranges, workgroups }) => {
    const bound = ranges.map(({ buffer, offset, size }) => {
      const { name, bytes } = program.buffers[buffer];
      return size === bytes ? name : `${name}[${offset}..${offset + size}]`;
    });
    return `${program.kernels[kernel].name} x ${workgroups.join(" x ")}\n  ${bound.join("  ")}`;
  }).join("\n");
}

/** The loss that the float64 reference has before and after a step. */
function reference(): string {
  const y = Array.from({ length: 64 }, (_, i) => i % 16);
  const x = y.flatMap((label) => Array.from({ length: 32 }, (_, i) => i % 16 === label ? 1 : 0));
  const first = evaluate(graph, { x, y, w: new Float64Array(512), b: new Float64Array(16), rate: [1] });
  const { w, b } = first;
  const second = evaluate(graph, { x, y, w, b, rate: [1] });
  return [first, second].map(({ loss }, i) => `loss ${loss[0].toFixed(12)} before step ${i + 1}`).join("\n");
}
