/**
 * Recomputation under a budget of memory: the rewritten graphs mean the same, the planned peak keeps the budget, and
 * nothing happens where nothing is asked for.
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import {
  BASELINE,
  type Compilation,
  compileStages,
  evaluate,
  type Graph,
  LAVAPIPE,
  MemoryBudgetError,
  verifyGraph,
} from "../../compiler/mod.ts";
import { ForwardValues } from "../../compiler/kept.ts";
import { choicesOf } from "../../compiler/recompute_choice.ts";
import { recomputeInGraph } from "../../compiler/recompute_graph.ts";
import { resolveConfig } from "../../model/config.ts";
import { traceTrainStep } from "../../model/programs.ts";
import { Prng } from "../support/prng.ts";
import { randomGraph, randomInputs } from "../support/random_graph.ts";
import { randomNetwork } from "../support/random_network.ts";
import { tinyConfig } from "../support/tiny_gpt2.ts";

const GRAPHS = 40;
const NETWORKS = 15;

/** Four layers whose activations are most of what the step holds. */
const step = traceTrainStep(tinyConfig(4), { batch: 32, context: 16 });
const unlimited = compileStages(step, BASELINE);
const { peakBytes } = unlimited.program.memory;

function within(graph: Graph, memoryBytes: number, name = "step"): Compilation {
  return compileStages(graph, BASELINE, { memoryBytes, name });
}

/** The least budget in which a graph can be planned. */
function leastBudget(graph: Graph): number {
  try {
    within(graph, 0);
  } catch (error) {
    if (error instanceof MemoryBudgetError) return error.needed;
    throw error;
  }
  throw new Error("a program without memory");
}

function assertSameValues(graph: Graph, other: Graph, seed: number): void {
  const inputs = randomInputs(graph, seed);
  const [expected, actual] = [evaluate(graph, inputs), evaluate(other, inputs)];
  for (const { name } of graph.outputs) {
    const scale = expected[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    expected[name].forEach((value, i) => {
      assertLessOrEqual(Math.abs(actual[name][i] - value), 1e-9 * scale, `seed ${seed}, ${name}[${i}]`);
    });
  }
}

Deno.test("whatever is recomputed, random programs with gradients mean the same", () => {
  let copies = 0;
  for (let seed = 1; seed <= GRAPHS; seed++) {
    const graph = randomGraph(seed, { gradients: 1 });
    const prng = new Prng(seed);
    const compilation = compileStages(graph, BASELINE);
    const forward = new ForwardValues(compilation);
    const choices = choicesOf(forward).map(({ again }) => again);
    const random = new Set([...forward.values.keys()].filter(() => prng.chance(0.5)));
    for (const again of [choices[choices.length - 1], random, new Set(forward.values.keys())]) {
      const rewritten = recomputeInGraph(forward, again);
      verifyGraph(rewritten);
      copies += rewritten.nodes.filter(({ origin }) => origin.recomputes !== undefined).length;
      assertSameValues(graph, rewritten, seed);
    }
  }
  assertGreater(copies, 5 * GRAPHS);
});

Deno.test("random networks mean the same within every budget from what they need to the least", () => {
  let recomputing = 0;
  for (let seed = 1; seed <= NETWORKS; seed++) {
    const graph = randomNetwork(seed);
    const least = leastBudget(graph);
    const most = compileStages(graph, BASELINE).program.memory.peakBytes;
    for (const budget of [least, (least + most) / 2]) {
      const { program, simplified } = within(graph, budget);
      verifyGraph(simplified);
      assertLessOrEqual(program.memory.peakBytes, budget, `seed ${seed}`);
      assertSameValues(graph, simplified, seed);
      if (program.recomputation!.multiplyAdds > 0) recomputing++;
    }
  }
  assertGreater(recomputing, NETWORKS);
});

Deno.test("random programs compile within the least budget that a refusal names", () => {
  for (let seed = 1; seed <= GRAPHS; seed++) {
    const graph = randomGraph(seed, { gradients: 1 });
    const needed = leastBudget(graph);
    const { program, simplified } = within(graph, needed);
    assertLessOrEqual(program.memory.peakBytes, needed, `seed ${seed}`);
    assertSameValues(graph, simplified, seed);
  }
});

Deno.test("the peak of a GPT-2 of four layers falls with the budget, and the work grows", () => {
  const least = leastBudget(step);
  assertLess(least, 0.8 * peakBytes);
  let last = unlimited.program;
  for (let share = 0.95; share * peakBytes > least; share -= 0.07) {
    const { program } = within(step, share * peakBytes);
    assertLessOrEqual(program.memory.peakBytes, share * peakBytes);
    assertLessOrEqual(program.memory.peakBytes, last.memory.peakBytes);
    const [now, before] = [program.recomputation!, last.recomputation];
    assert(now.multiplyAdds >= (before?.multiplyAdds ?? 0), `at ${share.toFixed(2)} of the peak`);
    assertEquals(now.unlimitedPeakBytes, peakBytes);
    last = program;
  }
  assertGreater(last.recomputation!.recomputed.length, 8);
});

Deno.test("an impossible budget is refused with the least that is needed", () => {
  const error = assertThrows(() => within(step, 1000, "tiny"), MemoryBudgetError);
  assertEquals(error.budget, 1000);
  assertEquals(error.program, "tiny");
  assert(error.message.includes(`at least ${error.needed} bytes`), error.message);
  assertLessOrEqual(within(step, error.needed).program.memory.peakBytes, error.needed);
  assertThrows(() => within(step, error.needed - 1), MemoryBudgetError);
});

Deno.test("a budget that is not short changes nothing, nor does none", () => {
  const { program } = within(step, peakBytes, "program");
  const { recomputation, compileMs: _, ...rest } = program;
  const { compileMs: __, ...expected } = unlimited.program;
  assertEquals(rest, expected);
  assertEquals(recomputation!.recomputed, []);
  assertEquals(recomputation!.multiplyAdds, 0);
  assertGreater(recomputation!.kept.length, 8);
});

Deno.test("the same budget gives the same program, another one another hash", () => {
  const [first, second, other] = [0.85, 0.85, 0.95].map((share) => within(step, share * peakBytes).program);
  assertEquals(first.hash, second.hash);
  assertEquals(first.dispatches, second.dispatches);
  assert(first.hash !== other.hash);
});

Deno.test("copies belong to the backward pass and say what they recompute", () => {
  const { simplified: { nodes } } = within(step, leastBudget(step));
  const copies = nodes.filter(({ origin }) => origin.recomputes !== undefined);
  assertGreater(copies.length, 20);
  for (const { id, op, shape, origin } of copies) {
    assertEquals(origin.phase, "backward");
    const original = nodes[origin.recomputes!];
    assertEquals([original.op, original.shape, original.origin.scope], [op, shape, origin.scope]);
    assert(original.id === id || original.origin.recomputes === undefined);
  }
});

Deno.test("no kernel of the forward pass computes a copy, and every copy runs after the loss", () => {
  const { fusion: { graph, groups }, storage, order } = within(step, leastBudget(step));
  const isCopy = (id: number) => graph.nodes[id].origin.recomputes !== undefined;
  const mixed = groups.filter(({ nodes }) =>
    nodes.some(isCopy) && nodes.some((id) => graph.nodes[id].origin.phase === "forward")
  );
  assertEquals(mixed, []);
  const positions = order.flatMap((id, position) =>
    storage.works[id].group?.nodes.some(isCopy) ? [position] : []
  );
  const head = order.findIndex((id) =>
    storage.works[id].group?.nodes.some((node) => graph.nodes[node].origin.scope === "head")
  );
  assertGreater(positions[0], head);
});

for (const maxBindingBytes of [2 ** 27, 2 ** 31 - 4]) {
  const binding = `bindings of ${maxBindingBytes} bytes`;
  Deno.test(`GPT-2 124M at 4 x 1024 keeps to its lower bound and to its budget, with ${binding}`, () => {
    const target = { ...LAVAPIPE, software: false, maxBindingBytes, maxBufferBytes: 2 ** 36 };
    const model = resolveConfig("gpt2", { vocabulary: 50257 });
    const graph = traceTrainStep(model, { batch: 4, context: 1024 });
    const { memory } = compileStages(graph, target).program;
    assertLess(memory.peakBytes, 5 * 2 ** 30);
    assertLess(memory.peakBytes, 1.25 * memory.lowerBoundBytes);
    // Chains are recomputed before products.
    const { simplified } = compileStages(graph, target, { memoryBytes: 0.95 * memory.peakBytes });
    const copied = simplified.nodes.filter(({ origin }) => origin.recomputes !== undefined);
    assertGreater(copied.length, 0);
    assertEquals(copied.filter(({ op }) => op === "matmul" || op === "attention"), []);
    const small = compileStages(graph, target, { memoryBytes: 3 * 2 ** 30 }).program;
    assertLessOrEqual(small.memory.peakBytes, 3 * 2 ** 30);
    assertLess(small.recomputation!.share, 0.15);
  });
}
