/**
 * What the fuser must find in a GPT-2 block, and what it must say where it does not fuse. Which elements a fused kernel
 * reads is checked on a device by `tests/runtime/fuzz_test.ts`.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import {
  attention,
  BASELINE,
  type Compilation,
  compileStages,
  concat,
  grad,
  type Graph,
  type Group,
  type Node,
  trace,
} from "../../compiler/mod.ts";
import { OPS } from "../../compiler/ops/mod.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { tinyConfig, tinyTrainStep } from "../support/tiny_gpt2.ts";

const step = compileStages(tinyTrainStep(), BASELINE);

/** Groups with a node in `scope`, which is one of `ops`, in a phase. */
function groupsOf(compilation: Compilation, scope: string, phase: Node["origin"]["phase"], ops: string[]) {
  const { graph, groups } = compilation.fusion;
  return groups.filter((group) =>
    group.nodes.some((id) => {
      const { op, origin } = graph.nodes[id];
      return origin.scope === scope && origin.phase === phase && ops.includes(op);
    })
  );
}

function opsOf(group: Group, graph: Graph = step.fusion.graph): string[] {
  return group.nodes.map((id) => graph.nodes[id].op);
}

Deno.test("bias and GELU of the wide layer are computed in its product's epilogue, not in kernels of their own", () => {
  const [group, ...others] = groupsOf(step, "h.0.mlp.c_fc", "forward", ["matmul"]);
  assertEquals(others, []);
  assertEquals(group.kind, "matmul");
  assertEquals(opsOf(group)[0], "matmul");
  assert(opsOf(group).includes("add") && opsOf(group).includes("tanh"), opsOf(group).join());
  assertEquals(groupsOf(step, "h.0.mlp", "forward", ["tanh"]), [group]);
});

Deno.test("the residual sum is computed in the epilogue of the product before it", () => {
  const { graph } = step.fusion;
  for (const scope of ["h.0.attn.c_proj", "h.1.mlp.c_proj"]) {
    const [group] = groupsOf(step, scope, "forward", ["matmul"]);
    const adds = group.nodes.filter((id) => graph.nodes[id].op === "add");
    assertEquals(adds.length, 2, "bias and residual");
    assert(graph.nodes[adds[1]].shape.length === 3, "the residual stream");
  }
});

Deno.test("layerNorm is one row kernel, and so is its input's gradient", () => {
  const reduces = ["sum"];
  const forward = groupsOf(step, "h.1.ln_2", "forward", reduces);
  assertEquals(forward.map(({ kind, parallel, reduced }) => [kind, parallel, reduced]), [["row", 32, 32]]);
  assert(opsOf(forward[0]).includes("rsqrt"));
  const backward = groupsOf(step, "h.1.ln_2", "backward", reduces).filter(({ kind }) => kind === "row");
  assertEquals(backward.length, 1);
  assertEquals(opsOf(backward[0]).filter((op) => op === "sum").length, 2, "both means of the gradient");
});

Deno.test("a bias gradient is a by-product of its weight's gradient, not a kernel of its own", () => {
  for (const scope of ["h.0.attn.c_attn", "h.0.attn.c_proj", "h.1.mlp.c_fc", "h.1.mlp.c_proj"]) {
    const groups = groupsOf(step, scope, "backward", ["sum"]);
    assertEquals(groups.map(({ kind }) => kind), ["matmul"], scope);
  }
});

Deno.test("gain and shift gradients of a layerNorm are one kernel, and all layers finish theirs in one launch", () => {
  const long = compileStages(
    traceTrainStep({ ...tinyConfig(), width: 64 }, { batch: 64, context: 16 }),
    BASELINE,
  );
  const columns = long.fusion.groups.filter(({ kind }) => kind === "column");
  // Two layers have two layerNorms each, and there is the last one; position embeddings are summed over the batch.
  assertEquals(columns.length, 5 + 1 + 1);
});

Deno.test("attention is one kernel forward with its logarithmic sums, and two backward", () => {
  const ops = ["attention", "attentionLse", "attentionGradQ", "attentionGradK", "attentionGradV"];
  const found = [
    ...groupsOf(step, "h.0.attn", "forward", ops),
    ...groupsOf(step, "h.0.attn", "backward", ops).filter(({ nodes }) => nodes.length > 0),
  ];
  assertEquals([...new Set(found)].map((group) => opsOf(group).join(" ")).sort(), [
    "attention attentionLse",
    "attentionGradK attentionGradV",
    "attentionGradQ",
  ]);
});

Deno.test("without its template attention's softmax is one row kernel, from its maximum to its quotient", () => {
  const optimizations = new Set(["loops", "tiles", "epilogues"] as const);
  const decomposed = compileStages(tinyTrainStep(), BASELINE, { optimizations });
  const forward = groupsOf(decomposed, "h.0.attn", "forward", ["max", "exp", "sum"]);
  assertEquals(forward.map(({ kind, parallel, reduced }) => [kind, parallel, reduced]), [["row", 64, 16]]);
});

Deno.test("no scores of a whole sequence pass through memory, forward or backward", () => {
  const [heads, tokens, width] = [2, 24, 8];
  const spec = { shape: [1, heads, tokens, width], dtype: "f32", role: "state" } as const;
  const graph = trace(({ q, k, v }) => {
    const [dq, dk, dv] = grad(attention(q, k, v).sum(), [q, k, v]);
    return { dq, dk, dv };
  }, { q: spec, k: spec, v: spec });
  const { storage } = compileStages(graph, BASELINE);
  const largest = Math.max(...storage.roots.map(({ elements }) => elements));
  assertEquals(largest, heads * tokens * width);
});

Deno.test("twice as many layers make no more kernels: equal layers share theirs", () => {
  // In two layers other values die in time to be overwritten in place than in many.
  const [shallow, deeper] = [4, 8].map((layers) => compileStages(tinyTrainStep(layers), BASELINE).program);
  assertEquals(deeper.kernels.length, shallow.kernels.length);
  assertGreater(deeper.dispatches.length, shallow.dispatches.length);
});

Deno.test("every result that passes through memory says why", () => {
  assertGreater(step.fusion.boundaries.length, 50);
  for (const { producer, consumer, reason } of step.fusion.boundaries) {
    assertGreater(reason.length, 10, `%${producer} -> %${consumer}`);
  }
});

Deno.test("eager mode gives every op one group, and fused mode far fewer", () => {
  const eager = compileStages(tinyTrainStep(), BASELINE, { mode: "eager" });
  const { graph, groups, inline } = eager.fusion;
  const computed = graph.nodes.filter(({ op }) =>
    op === "concat" || !["leaf", "movement"].includes(OPS[op].class)
  );
  assertEquals(groups.map(({ nodes }) => nodes), computed.map(({ id }) => [id]));
  assertEquals(inline.size, 0);
  assertGreater(eager.program.dispatches.length, 3 * step.program.dispatches.length);
});

Deno.test("with four storage buffers the step compiles, and the cut is explained with both numbers", () => {
  const { program, fusion } = compileStages(tinyTrainStep(), { ...BASELINE, maxStorageBuffers: 4 });
  const reasons = fusion.boundaries.map(({ reason }) => reason);
  assert(reasons.some((reason) => /^would need [5-9] bindings of 4$/.test(reason)));
  for (const { bindings, name } of program.kernels) {
    assert(bindings.filter((binding) => binding !== "uniform").length <= 4, name);
  }
});

Deno.test("a chain whose every link is an output is cut where its stores need too many bindings", () => {
  const graph = trace(({ x }) => {
    const outputs: Record<string, typeof x> = {};
    for (let i = 0; i < 12; i++) outputs[`y${i}`] = x = x.tanh().add(i);
    return outputs;
  }, { x: { shape: [64], dtype: "f32", role: "batch" } });
  const { program, fusion } = compileStages(graph, BASELINE);
  assert(program.kernels.every(({ bindings }) => bindings.length <= 8));
  assert(program.dispatches.length <= 3);
  assert(fusion.boundaries.some(({ reason }) => reason === "would need 13 bindings of 8"));
});

Deno.test("an epilogue whose every value is an output is cut off its product where bindings run out", () => {
  const graph = trace(({ a, b }) => {
    const outputs: Record<string, typeof a> = {};
    let y = a.matmul(b);
    for (let i = 0; i < 9; i++) outputs[`y${i}`] = y = y.tanh();
    return outputs;
  }, {
    a: { shape: [16, 16], dtype: "f32", role: "batch" },
    b: { shape: [16, 16], dtype: "f32", role: "batch" },
  });
  const { program } = compileStages(graph, BASELINE);
  assert(program.kernels.every(({ bindings }) => bindings.length <= 8));
  assertEquals(program.dispatches.length, 2);
});

Deno.test("rows too long to be walked three times by one invocation are shared out among kernels", () => {
  const graph = trace(({ x }) => ({ y: x.softmax() }), {
    x: { shape: [64, 30_001], dtype: "f32", role: "batch" },
  });
  const { program } = compileStages(graph, { ...BASELINE, software: true });
  assertEquals(program.dispatches.length, 2);
  for (const { loopIterations } of program.kernels) assert(loopIterations <= BASELINE.maxLoopIterations);
});

Deno.test("the pieces of a concatenation are written in place, without a copy", () => {
  const spec = { shape: [8, 4], dtype: "f32", role: "batch" } as const;
  const { program } = compileStages(
    trace(({ a, b }) => ({ y: concat([a.tanh(), b.exp()], 1) }), { a: spec, b: spec }),
    BASELINE,
  );
  assertEquals(program.dispatches.length, 2);
  const [output] = program.outputs;
  for (const { ranges } of program.dispatches) {
    assert(ranges.some(({ buffer }) => buffer === output.range.buffer));
  }
});

Deno.test("what is grouped is what was simplified: the groups cover each computed node once", () => {
  const { graph, groups, groupOf } = step.fusion;
  const seen = new Set<number>();
  for (const group of groups) {
    for (const id of group.nodes) {
      assert(!seen.has(id), `%${id} is in two groups`);
      seen.add(id);
      assertEquals(groupOf[id], group.id);
    }
  }
  for (const { id, op } of graph.nodes) {
    if (OPS[op].class !== "leaf" && OPS[op].class !== "movement" && !step.fusion.inline.has(id)) {
      assert(seen.has(id), `%${id} ${op} is in no group`);
    }
  }
});
